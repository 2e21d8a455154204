"""What every annotation tool's file becomes first: boxes with names at moments of videos."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mark:
    """One box of one person.

    Attributes:
        where: File and line, or file and element, for messages.
        time: Seconds after the video's first frame.
        box: `(x1, y1, x2, y2)`, pixels of a picture of `size` (height, width); fractions of width
            and height where `size` is None.
        person: The tool's name for the person, None if it has none.
        kind: What the tool says the object is, None if it does not: CVAT's label of a track.
        interpolated: Whether it is not in the file itself: what a track shows between two frames
            that are.
    """

    where: str
    video: str
    time: Fraction
    box: Box
    size: tuple[int, int] | None
    labels: tuple[str, ...]
    person: str | None
    kind: str | None = None
    interpolated: bool = False


@dataclass(frozen=True)
class Choice:
    """Which attributes of a box say what.

    Attributes:
        actions: Attributes whose values are action names; None takes all but `person`. CVAT also
            knows `label`: the label of the track itself.
        person: The attribute with the person's name or number, for tools without tracks.
        video: The name of the video, where the file does not have it or has a wrong one. Rate and
            size are looked up under it, too: it is what the video is called beside the annotation.
    """

    actions: frozenset[str] | None = None
    person: str = "person"
    video: str | None = None

    def is_action(self, attribute: str) -> bool:
        if self.actions is not None:
            return attribute in self.actions
        return attribute != self.person


@dataclass
class LeftOut:
    """What is not converted: for each reason how often, and where first."""

    reasons: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, reason: str, where: str, number: int = 1) -> None:
        count, first = self.reasons.get(reason, (0, where))
        self.reasons[reason] = (count + number, first)

    def join(self, others: LeftOut) -> None:
        """Count what `others` counts as well."""
        for reason, (number, where) in others.reasons.items():
            self.add(reason, where, number)

    def lines(self) -> list[str]:
        """`12 boxes without an action (first: labels.csv, line 7)`, one line a reason."""
        return [f"{n:,} {reason} (first: {where})" for reason, (n, where) in self.reasons.items()]


@dataclass
class Reading:
    """What one or several files hold.

    Attributes:
        attributes: Those that boxes have, which `Choice` may take for actions.
        notes: What the user should know of how the files were taken.
        sources: The files.
    """

    marks: list[Mark] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=LeftOut)
    attributes: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    sources: list[Path] = field(default_factory=list)

    def join(self, other: Reading) -> None:
        """Take in what another file holds."""
        self.marks += other.marks
        self.left_out.join(other.left_out)
        self.attributes |= other.attributes
        self.notes += other.notes
        self.sources += other.sources
