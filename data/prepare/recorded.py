"""What our records say of folders that are given as inputs: what they hold, and their videos' ids.

Folders without our records, or with another tool's files of these names, say nothing: they are
taken as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from data.prepare.manifest import MANIFEST
from data.prepare.numbered import (
    SNIPPETS,
    NumberedRecord,
    read_numbered_manifest,
    read_numbered_record,
)

Recorded = Mapping[str, NumberedRecord]


def recorded_videos(root: Path) -> Recorded:
    """The records of all videos below `root`, by id, as its manifest has them."""
    try:
        return read_numbered_manifest(root) if (root / MANIFEST).is_file() else {}
    except ValueError:  # another tool's
        return {}


def recorded_in(folder: Path) -> NumberedRecord | None:
    """The record in a video's folder."""
    try:
        return read_numbered_record(folder)
    except ValueError:  # another tool's
        return None


def recorded_id(folder: Path, read: Callable[[Path], Recorded] = recorded_videos) -> str | None:
    """The id of the video in `folder`: its path from the folder whose manifest lists it.

    Args:
        read: Asked for the records of the folders that may be that one.
    """
    place = folder.absolute()
    for root in place.parents[:2]:
        if (video := place.relative_to(root).as_posix()) in read(root):
            return video
    return None


def check_kind(root: Path, videos: Iterable[str], expected: str, option: str) -> None:
    """Check that no folder `<root>/<video>` is known to hold another kind of files.

    Args:
        expected: `FRAMES` or `FLOW`; `SNIPPETS` has both.
        option: That gave `root`, for the message.

    Raises:
        ValueError: Naming `root`, what it holds, and `option`.
    """
    listed = recorded_videos(root)
    for video in videos:
        record = recorded_in(root / video) or listed.get(video)
        if record is not None and record.kind not in (expected, SNIPPETS):
            raise ValueError(
                f"{root}: holds {record.kind} (as the record of {video} says), expected "
                f"{expected} ({option})"
            )
