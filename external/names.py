"""Numbers for the names of videos and of labels, as they are met in files."""

from __future__ import annotations

from dataclasses import dataclass, field


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
