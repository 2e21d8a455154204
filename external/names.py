"""Names of videos and of labels, as they are met in files, and numbers for them."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath, PureWindowsPath

VIDEO_ENDINGS = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v")


@lru_cache(maxsize=65_536)
def video_name(path: str) -> str:
    """Return the name by which a video is known: of its folder or file, wherever that lies.

    That is without folders (POSIX or Windows) and without the ending of a video file, in composed
    Unicode, which macOS does not write.
    """
    place = PureWindowsPath(path) if "\\" in path else PurePosixPath(path)
    name = place.stem if place.suffix.lower() in VIDEO_ENDINGS else place.name
    return unicodedata.normalize("NFC", name)


@dataclass
class Names:
    """Numbers for names of videos and of labels, given in the order in which they are met.

    Attributes:
        closed: Whether a label that is not known is an error: detections bring no new classes.
    """

    videos: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    closed: bool = False

    def video(self, name: str) -> int:
        """Return the number of a video."""
        return self.videos.setdefault(name, len(self.videos))

    def label(self, name: str, where: str) -> int:
        """Return the number of a label; raises `ValueError` naming `where` for an unknown one."""
        if self.closed and name not in self.labels:
            known = ", ".join(list(self.labels)[:5])
            raise ValueError(f"{where}: unknown label {name!r}: the ground truth has {known}, ...")
        return self.labels.setdefault(name, len(self.labels))
