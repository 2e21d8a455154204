"""What happens in a toy untrimmed video, and when: actions, pauses, look-alikes and passers-by.

Times are seconds from the video's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGN, JUMP, LAMP, SHAKE, TURN, WAVE = range(6)

CLASSES = ("hold a sign", "jump", "light a lamp", "shake the wheel", "turn the wheel", "wave")
"""Names by label. A sign and a lamp do not move, so that flow does not show them; the wheel looks
the same when it rests, so that an image does not show what it does."""

GREETING = 1.2
"""Seconds that the actor greets, by raising an arm: at both ends of each action, and in pauses."""

LENGTHS = (5.0, 16.0)
PAUSES = (3.0, 11.0)
HESITATES = 0.4
"""Share of the actions that rest in the middle for 1 to 2 seconds, if they are longer than 8."""

_LONG_ACTION, _LONG_PAUSE = 8.0, 6.0


@dataclass(frozen=True)
class Performance:
    """An action.

    Attributes:
        label: Its class.
        start, end: With the greetings.
        rests: Where it hesitates.
    """

    label: int
    start: float
    end: float
    rests: tuple[tuple[float, float], ...] = ()

    def active(self) -> list[tuple[float, float]]:
        """Return the intervals in which the action itself is seen."""
        edges = [self.start + GREETING]
        for rest in self.rests:
            edges += rest
        edges.append(self.end - GREETING)
        return list(zip(edges[::2], edges[1::2], strict=True))


@dataclass(frozen=True)
class Passage:
    """Somebody who passes in front of the scene, from one side to the other."""

    start: float
    end: float
    leftwards: bool


@dataclass(frozen=True)
class Play:
    """A video.

    Attributes:
        performances: In their order.
        greetings: Starts of those in pauses.
    """

    seconds: float
    performances: list[Performance]
    greetings: list[float] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)

    def active(self, label: int) -> list[tuple[float, float]]:
        """Return the intervals in which an action of this class is seen."""
        return [span for p in self.performances if p.label == label for span in p.active()]

    def all_greetings(self) -> list[float]:
        """Return the starts of all greetings: those of actions, and those that lead to none."""
        ends = [at for p in self.performances for at in (p.start, p.end - GREETING)]
        return sorted([*ends, *self.greetings])


def time_inside(intervals: Sequence[tuple[float, float]], time: float) -> float:
    """Return how long the `intervals` have lasted until `time`."""
    return sum(min(max(time - start, 0.0), end - start) for start, end in intervals)


def is_inside(intervals: Sequence[tuple[float, float]], time: float) -> bool:
    """Return whether `time` is in one of `intervals`, ends not included."""
    return any(start <= time < end for start, end in intervals)


def draw_play(rng: np.random.Generator, seconds: float) -> Play:
    """Draw what happens in a video: actions of all classes in turn, in random order."""
    performances: list[Performance] = []
    greetings: list[float] = []
    coming: list[int] = []
    time = rng.uniform(1.0, PAUSES[1] / 2)
    while True:
        coming = coming or rng.permutation(len(CLASSES)).tolist()
        end = time + rng.uniform(*LENGTHS)
        if end > seconds - 1.0:
            break
        performances.append(_performance(rng, coming.pop(), time, end))
        pause = rng.uniform(*PAUSES)
        if pause > _LONG_PAUSE and end + pause < seconds:
            greetings.append(end + pause / 2 - GREETING / 2)
        time = end + pause
    passages = [_passage(rng, seconds) for _ in range(max(round(seconds / 40), 1))]
    return Play(seconds, performances, greetings, passages)


def _performance(rng: np.random.Generator, label: int, start: float, end: float) -> Performance:
    """An action, which may hesitate somewhere in its middle half."""
    if end - start < _LONG_ACTION or rng.random() > HESITATES:
        return Performance(label, start, end)
    rest = rng.uniform(1.0, 2.0)
    begin = start + (end - start) * rng.uniform(0.3, 0.7) - rest / 2
    return Performance(label, start, end, ((begin, begin + rest),))


def _passage(rng: np.random.Generator, seconds: float) -> Passage:
    start = rng.uniform(0.0, max(seconds - 4.0, 0.1))
    return Passage(start, start + rng.uniform(2.0, 4.0), bool(rng.random() < 0.5))
