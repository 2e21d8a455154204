"""Annotations as segments of untrimmed videos: actions with a start, an end and a class."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_SECONDS = 10_000_000
"""Of a video, nearly four months: more is a mistake in a file."""


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
        youtube: The videos' names are ids of YouTube: the last 11 characters of the names of
            folders and files.
    """

    classes: list[str]
    durations: dict[str, float]
    segments: dict[str, list[Segment]]
    dropped: dict[str, int] = field(default_factory=dict)
    youtube: bool = False

    def counts(self) -> str:
        """Return one line with the numbers of videos, segments, and what was left out."""
        total = sum(map(len, self.segments.values()))
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        return (
            f"{len(self.segments)} videos with {total} segments of {len(self.classes)} classes"
            f" (of {len(self.durations)} videos)" + (f"; left out: {left_out}" if left_out else "")
        )


def parse_seconds(text: str, where: str) -> float:
    """Return `text` as seconds; raises `ValueError` naming `where`, see `check_seconds`."""
    try:
        value: object = float(text)
    except ValueError:
        value = text
    return check_seconds(value, where, text)


def check_seconds(value: object, where: str, said: object = None) -> float:
    """Return a number of seconds from 0 to `MOST_SECONDS`.

    Args:
        said: What to show of a wrong value, if it is not the value itself.

    Raises:
        ValueError: Naming `where`, for anything else: a video of 2**64 s has windows without end.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= MOST_SECONDS:  # type: ignore[operator]
        shown = f"{(value if said is None else said)!r:.80}"
        raise ValueError(f"{where}: expected seconds, got {shown} (valid: 0 to {MOST_SECONDS:,})")
    return float(value)  # type: ignore[arg-type]
