"""What every annotation tool's file becomes first: boxes with names at moments of videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

Box = tuple[float, float, float, float]

# What CVAT writes where an attribute was left open.
UNDEFINED = ("", "__undefined__")


@dataclass(frozen=True)
class Mark:
    """One box of one person.

    where: file and line, or file and element, for messages.
    time: seconds after the video's first frame.
    box: `(x1, y1, x2, y2)`, pixels of a picture of `size` (height, width); fractions of width and
        height where `size` is None.
    person: the tool's name for the person, None if it has none.
    """

    where: str
    video: str
    time: Fraction
    box: Box
    size: tuple[int, int] | None
    labels: tuple[str, ...]
    person: str | None


@dataclass(frozen=True)
class Choice:
    """Which attributes of a box say what.

    actions: attributes whose values are action names; None takes all but `person`. CVAT also knows
        `label`: the label of the track itself.
    person: the attribute with the person's name or number, for tools without tracks.
    video: the name of the video, where the file does not have it or has a wrong one. Rate and size
        are looked up under it, too: it is what the video is called beside the annotation.
    """

    actions: frozenset[str] | None = None
    person: str = "person"
    video: str | None = None

    def video_of(self, name: str) -> str:
        """The name of the video that the file calls `name`."""
        return self.video or name

    def is_action(self, attribute: str) -> bool:
        if self.actions is not None:
            return attribute in self.actions
        return attribute != self.person


@dataclass
class LeftOut:
    """What is not converted: for each reason how often, and where first."""

    reasons: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        count, first = self.reasons.get(reason, (0, where))
        self.reasons[reason] = (count + 1, first)

    def join(self, others: LeftOut) -> None:
        """Count what `others` counts as well."""
        for reason, (number, where) in others.reasons.items():
            count, first = self.reasons.get(reason, (0, where))
            self.reasons[reason] = (count + number, first)

    def lines(self) -> list[str]:
        """`12 boxes without an action (first: labels.csv, line 7)`, one line a reason."""
        return [f"{n:,} {reason} (first: {where})" for reason, (n, where) in self.reasons.items()]


def clean_name(text: str) -> str:
    """A name on one line, without spaces around it."""
    return " ".join(text.split())


def named(values: list[str]) -> tuple[str, ...]:
    """The values that name something, each once, in order."""
    names = (clean_name(value) for value in values)
    return tuple(dict.fromkeys(name for name in names if name not in UNDEFINED))
