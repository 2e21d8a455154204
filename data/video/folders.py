"""What a folder of a user's holds: videos, frames, folders of frames, and what none of our
commands takes. Every command that looks into a folder asks here, so that all see the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from data.prepare.manifest import MANIFEST, RECORD
from utils.system.outputs import made_here
from utils.system.terminal import printable

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".divx", ".wmv", ".asf"),
    *(".flv", ".f4v", ".mpg", ".mpeg", ".m2v", ".ts", ".mts", ".m2ts", ".mxf", ".vob", ".ogv"),
    *(".ogm", ".gif"),
)
"""Endings of video files, in lower case: the one list of all commands."""

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
"""Endings of frames, in lower case."""

# What file managers put into folders, besides hidden files.
CLUTTER = {"thumbs.db", "ehthumbs.db", "desktop.ini"}

# TSN's extraction puts flow and frames (`img_00001.jpg`) into one folder.
_FLOW = re.compile(r"flow_[xy]_\d+\.\w+", re.ASCII | re.IGNORECASE)

# What our extraction of frames writes beside them.
RECORDS = {RECORD, MANIFEST}


@dataclass(frozen=True)
class FolderContent:
    """What is in a folder, by name; hidden files and file managers' are in none of the lists.

    Attributes:
        videos: In alphabetical order.
        frames: In the order of their numbers.
        folders: Those that hold frames.
        skipped: What no command takes, such as pictures beside videos.
    """

    path: Path
    videos: list[str]
    frames: list[str]
    folders: list[str]
    skipped: list[str]

    def skipped_line(self) -> str:
        """One line that names what is skipped, empty where that is nothing."""
        if not self.skipped:
            return ""
        named = ", ".join(map(printable, self.skipped[:5]))
        more = f" and {len(self.skipped) - 5} more" if len(self.skipped) > 5 else ""
        return f"{printable(str(self.path))}: skipped {named}{more}"


def list_folder(path: str | Path) -> FolderContent:
    """Look into a folder, not below its folders of frames.

    Pictures beside videos, such as a cover, are skipped. A GIF beside pictures is skipped, because
    it shows the same. Files that the demo wrote there, and records of our extraction, are in none
    of the lists.

    Raises:
        OSError: If the folder cannot be read.
    """
    ours = RECORDS.union(made_here(Path(path)).get("demo", []))
    found = (e for e in os.scandir(path) if not is_clutter(e.name) and e.name not in ours)
    entries = sorted(found, key=lambda entry: entry.name)
    files = [entry.name for entry in entries if not _is_folder(entry)]
    frames = sorted(filter(is_image_name, files), key=_natural)
    videos = [name for name in files if is_video_name(name)]
    if frames:
        videos = [name for name in videos if not name.lower().endswith(".gif")]
    if videos:
        frames = []
    inside = [entry.name for entry in entries if _is_folder(entry)]
    folders = [name for name in inside if _has_frames(Path(path, name))] if not frames else []
    taken = {*videos, *frames, *folders}
    skipped = [entry.name for entry in entries if entry.name not in taken]
    return FolderContent(Path(path), videos, frames, folders, skipped)


def image_names(folder: str | Path) -> list[str]:
    """Names of the images in a folder, in the order of the numbers in them (2 before 10)."""
    return sorted((e.name for e in os.scandir(folder) if is_image_name(e.name)), key=_natural)


def check_numbers(folder: str | Path, names: Sequence[str]) -> None:
    """Raise `ValueError` unless `names`, of `image_names`, are numbered 1, 2, 3, ...

    The number of an image is the last one in its name: 7 in `00007.jpg` and `img_00007.jpg`.
    """
    for expected, name in enumerate(names, start=1):
        found = re.findall(r"\d+", PurePath(name).stem)
        if not found or int(found[-1]) != expected:
            raise ValueError(
                f"{Path(folder, name)}: expected frames that are numbered from 1 without a gap: "
                f"this one should be number {expected}"
            )


def is_clutter(name: str) -> bool:
    """Whether a file is hidden, as what macOS keeps beside each file (`._a.mp4`), or a system's."""
    return name.startswith(".") or name.lower() in CLUTTER


def is_image_name(name: str) -> bool:
    """Whether a file of this name is a frame; an image of flow beside frames is none."""
    is_image = name.lower().endswith(IMAGE_SUFFIXES) and not is_clutter(name)
    return is_image and _FLOW.fullmatch(name) is None


def is_video_name(name: str) -> bool:
    """Whether a file of this name is a video."""
    return name.lower().endswith(VIDEO_SUFFIXES) and not is_clutter(name)


def name_of(path: PurePath) -> str:
    """The name of the video in a file: without a video's ending (`b.1` of `b.1.mp4`)."""
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _has_frames(folder: Path) -> bool:
    try:
        return any(is_image_name(entry.name) for entry in os.scandir(folder))
    except OSError:  # without permission
        return False


def _natural(name: str) -> tuple[list[str | int], str]:
    """Sorts numbers by value; where they are padded with zeros that is the alphabetical order."""
    parts = re.split(r"(\d+)", name)  # texts and numbers take turns
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name
