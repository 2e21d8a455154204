"""What a user hands to the demo: videos and folders of frames, found and checked up front."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

from data.clips import image_names, read_image
from data.video import FrameFolder, VideoFile, open_source

VIDEO_SUFFIXES = (".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg")


def find_sources(
    paths: Sequence[str | Path], source_fps: float | Fraction = 30
) -> dict[str, FrameFolder | VideoFile]:
    """Every video of `paths` by its name: that of the file without its ending, or of the folder.

    A path is a video file, a folder of frames, or a folder of either. source_fps: the rate at which
    frames were taken; video files know theirs. Raises `ValueError` naming the path that is missing,
    holds nothing or cannot be read, and the name that two videos share.
    """
    found = [file for path in paths for file in _expand(Path(path))]
    names = [path.resolve().name if path.is_dir() else path.stem for path in found]
    shared = [name for name, count in Counter(names).items() if count > 1]
    if shared:
        same = [str(path) for path, name in zip(found, names, strict=True) if name == shared[0]]
        raise ValueError(f"{' and '.join(same)}: both are named {shared[0]!r}; rename one")
    sources = {name: open_source(p, source_fps) for name, p in zip(names, found, strict=True)}
    for source in sources.values():
        if isinstance(source, FrameFolder):
            _check_frames(source)
    return sources


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


def _expand(path: Path) -> list[Path]:
    """The videos at `path`: itself, or what is in it."""
    if not path.is_dir():
        if not path.exists():
            raise ValueError(f"{path}: no such video or folder of frames")
        return [path]
    if image_names(path):
        return [path]
    entries = sorted(Path(entry) for entry in os.scandir(path))
    inside = [e for e in entries if e.suffix.lower() in VIDEO_SUFFIXES and e.is_file()]
    inside += [entry for entry in entries if entry.is_dir() and image_names(entry)]
    if not inside:
        raise ValueError(
            f"{path}: expected frames such as frame0001.jpg, folders of them or videos, found none"
        )
    return inside
