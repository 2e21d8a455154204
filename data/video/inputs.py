"""What a user hands to the demo: videos and folders of frames, found and checked up front."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from data.images import read_image
from data.video.folders import list_folder, name_of
from data.video.part import Source, VideoPart, whole_video
from data.video.windows import FrameFolder, VideoFile, open_source
from external.files import check_regular, real_path
from utils.formats.ava_csv import as_text, check_video_name
from utils.system.stall import STEP_LIMIT, each_within

# A film's table of contents is read as a whole, and so are all frames of a folder.
OPENING = 10

# Bytes of a video's name: file systems have 255, and `_detected.mp4` is added.
LONGEST_NAME = 240


@dataclass
class Sources:
    """The videos that were found, by name.

    Attributes:
        opened: Those that can be read.
        failed: Why others cannot.
        skipped: A line for each folder that holds something which no command reads.
    """

    opened: dict[str, Source] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def cut(self, start: Fraction | None, end: Fraction | None) -> None:
        """Keep of each video the part from `start` to `end` [s].

        A video that has no such part counts as failed.

        Raises:
            ValueError: Naming the only video if it has no such part.
        """
        if start is None and end is None:
            return
        is_only = len(self.opened) + len(self.failed) == 1
        for name, source in list(self.opened.items()):
            try:
                self.opened[name] = VideoPart(whole_video(source), start, end)
            except ValueError as error:
                if is_only:
                    raise
                del self.opened[name]
                self.failed[name] = str(error)


def find_sources(
    paths: Sequence[str | Path],
    source_fps: float | Fraction = 30,
    step_limit: float = STEP_LIMIT,
) -> Sources:
    """Open every video of `paths`, each file once, by its name: the file's or folder's.

    A path is a video file, a folder of frames, or a folder of either.

    Args:
        source_fps: The rate at which frames were taken; video files know theirs.
        step_limit: Seconds that reading a frame may take; a file's table of contents may take
            `OPENING` times that.

    Raises:
        ValueError: Naming the path that is missing, holds nothing or is a pipe or device, the name
            that two videos share, and the only video if it cannot be read.
    """
    sources = Sources()
    named = _by_name([file for path in paths for file in _expand(Path(path), sources.skipped)])
    for name, path in named.items():
        try:
            _check_name(name, path)
            opening = (_open(path, source_fps) for _ in range(1))
            sources.opened[name] = next(each_within(opening, str(path), OPENING * step_limit))
        except (ValueError, OSError) as error:
            if len(named) == 1:
                raise
            sources.failed[name] = str(error)
    return sources


def describe_joins(sources: Mapping[str, Source]) -> dict[str, str]:
    """Return for each video, by name, what is to be said of jumps in its clock, if it has any."""
    lines = {}
    for name, source in sources.items():
        video = whole_video(source)
        joins = video.joins if isinstance(video, VideoFile) else []
        if joins:
            more = f" and {len(joins) - 1} more" if len(joins) > 1 else ""
            lines[name] = (
                f"the clock of this video jumps by {float(joins[0].jump):+.2f} s at "
                f"{float(joins[0].time):.2f} s{more}, as where recordings are joined; its times "
                "here go on without a jump"
            )
    return lines


def _check_name(name: str, path: Path) -> None:
    """Raise `ValueError` naming `path` if no results of its name could be written or read again."""
    check_video_name(as_text(name), f"{str(path)!r}: rename it")
    if len(os.fsencode(name)) > LONGEST_NAME:
        raise ValueError(
            f"{path}: its name has {len(os.fsencode(name))} bytes, expected at most "
            f"{LONGEST_NAME}, since the names of its results are longer: rename it"
        )


def _open(path: Path, source_fps: float | Fraction) -> FrameFolder | VideoFile:
    opened = open_source(path, source_fps)
    if isinstance(opened, FrameFolder):
        _check_frames(opened)
    return opened


def _by_name(found: Sequence[Path]) -> dict[str, Path]:
    """The paths by the names of their videos; refuses two videos of one name."""
    named: dict[str, Path] = {}
    for path in found:
        full = real_path(path)
        name = full.name if path.is_dir() else name_of(path)
        if name in named and real_path(named[name]) != full:
            raise ValueError(f"{named[name]} and {path}: both are named {name!r}; rename one")
        named.setdefault(name, path)
    return named


def _check_frames(folder: FrameFolder) -> None:
    """Read every frame once: a damaged last one is not found after an hour's work."""
    paths = [folder.path / name for name in folder.names]
    expected = read_image(paths[0]).shape
    with ThreadPoolExecutor() as pool:  # decoding leaves Python's lock alone
        for path, shape in zip(paths, pool.map(_shape, paths), strict=True):
            if shape != expected:
                raise ValueError(
                    f"{path}: {shape[1]} x {shape[0]} pixels, expected {expected[1]} x "
                    f"{expected[0]} as in {paths[0]}"
                )


def _shape(path: Path) -> tuple[int, ...]:
    return read_image(path).shape


def _expand(path: Path, skipped: list[str]) -> list[Path]:
    """The videos at `path`: itself, or what is in it; what is not taken is put on `skipped`."""
    if not path.is_dir():
        return [check_regular(path, "video or folder of frames")]
    content = list_folder(path)
    inside = [path / name for name in (*content.videos, *content.folders)]
    if not inside and not content.frames:
        raise ValueError(
            f"{path}: expected frames such as frame0001.jpg, folders of them or videos, found none"
        )
    if content.skipped:
        skipped.append(content.skipped_line())
    return inside or [path]
