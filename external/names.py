"""Names of videos and of labels, as they are met in files, and numbers for them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from external.files import read_text

VIDEO_ENDINGS = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v")

_AVI = re.compile(r"\.avi(\s+\d+)?$", re.ASCII)
"""What UCF101's lists have behind an id."""


@lru_cache(maxsize=65_536)
def video_name(path: str) -> str:
    """Return the name by which a video is known: of its folder or file, wherever that lies.

    That is without folders (POSIX or Windows) and without the ending of a video file, in composed
    Unicode, which macOS does not write.
    """
    place = PureWindowsPath(path) if "\\" in path else PurePosixPath(path)
    name = place.stem if place.suffix.lower() in VIDEO_ENDINGS else place.name
    return unicodedata.normalize("NFC", name)


def read_video_lines(path: str | Path) -> dict[str, int]:
    """Read a list of video ids, one a line; returns each id with the line where it first stands.

    Ids may have blanks in them. Of the lines of UCF101's own lists, `<Class>/<video>.avi` with or
    without the number of a class behind it, the id is what stands before `.avi`.

    Raises:
        ValueError: Naming the file if it lists none.
    """
    found: dict[str, int] = {}
    for number, line in enumerate(read_text(path, "list of videos").splitlines(), start=1):
        if line.strip():
            found.setdefault(_AVI.sub("", line.strip()), number)
    if not found:
        raise ValueError(f"{path}: lists no video")
    return found


@dataclass
class Names:
    """Numbers for names of videos and of labels, given in the order in which they are met.

    Attributes:
        closed: Whether a label that is not known is an error: detections bring no new classes.
        source: What has the labels that are known, for messages.
    """

    videos: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    closed: bool = False
    source: str = "the ground truth"

    def video(self, name: str) -> int:
        """Return the number of a video."""
        return self.videos.setdefault(name, len(self.videos))

    def label(self, name: str, where: str) -> int:
        """Return the number of a label; raises `ValueError` naming `where` for an unknown one."""
        if self.closed and name not in self.labels:
            known = ", ".join(list(self.labels)[:5]) + (", ..." if len(self.labels) > 5 else "")
            raise ValueError(f"{where}: unknown label {name!r}: {self.source} has {known}")
        return self.labels.setdefault(name, len(self.labels))
