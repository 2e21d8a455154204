"""Annotations as segments of untrimmed videos: actions with a start, an end and a class."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Segment:
    """An action.

    Attributes:
        start, end: Seconds from the video's start.
        label: An index into the classes.
    """

    start: float
    end: float
    label: int


@dataclass(frozen=True)
class SegmentAnnotations:
    """The segments of the videos of one subset.

    Attributes:
        classes: Names, by label.
        durations: Of every known video, in seconds.
        segments: Of each video that has any, in the order of the files.
        dropped: What was left out, number by reason.
    """

    classes: list[str]
    durations: dict[str, float]
    segments: dict[str, list[Segment]]
    dropped: dict[str, int] = field(default_factory=dict)

    def counts(self) -> str:
        """Return one line with the numbers of videos, segments, and what was left out."""
        total = sum(map(len, self.segments.values()))
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        return (
            f"{len(self.segments)} videos with {total} segments of {len(self.classes)} classes"
            f" (of {len(self.durations)} videos)" + (f"; left out: {left_out}" if left_out else "")
        )


def parse_seconds(text: str, where: str) -> float:
    """Return `text` as seconds, 0 or more and finite; raises `ValueError` naming `where`."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{where}: expected seconds, got {text!r}")
    return value
