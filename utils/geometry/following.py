"""Following boxes through a video: boxes of successive key frames get numbers that last.

Each followed object moves at a constant velocity. A new box belongs to the object whose box, moved
to the new time, overlaps it most. Appearance plays no part. Works key frame by key frame, so that a
stream can be followed as it comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]

# Weight of the newest step in an object's velocity: boxes jitter, and one step is short.
NEWEST = 0.5


@dataclass(frozen=True)
class FollowRules:
    """What decides whether two boxes are the same object.

    Attributes:
        patience: Seconds for which an object that is not found keeps its number.
        least_overlap: The generalized IoU (Rezatofighi et al., 2019) of a box and the object's
            expected box must be above it. It is the IoU for boxes in a row that overlap; 0: they
            touch; below 0: a gap lies between them.
        most_growth: Ratio of the areas of two successive boxes, at most.
    """

    patience: float = 1.0
    least_overlap: float = 0.0
    most_growth: float = 4.0

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"patience: expected 0 or more seconds, got {self.patience}")
        if not -1 <= self.least_overlap < 1:
            raise ValueError(
                f"least_overlap: expected a value in [-1, 1), got {self.least_overlap}"
            )
        if self.most_growth < 1:
            raise ValueError(f"most_growth: expected 1 or more, got {self.most_growth}")


@dataclass
class _Followed:
    """An object: its number, its last box `[4]` and its time [s], its centre's velocity `[2]`."""

    number: int
    box: Boxes
    time: float
    velocity: Boxes = field(default_factory=lambda: np.zeros(2))
    steps: int = 0

    def expected(self, time: float) -> Boxes:
        """Its box at `time`, as large as the last one."""
        return self.box + np.tile(self.velocity * (time - self.time), 2)

    def found(self, box: Boxes, time: float) -> None:
        """Go on from `box`."""
        newest = (_centre(box) - _centre(self.box)) / (time - self.time)
        weight = NEWEST if self.steps else 1.0
        self.velocity = weight * newest + (1 - weight) * self.velocity
        self.box, self.time, self.steps = box, time, self.steps + 1


class BoxFollower:
    """Gives the boxes of each key frame the numbers of their objects, counted from 1."""

    def __init__(self, rules: FollowRules | None = None) -> None:
        self.rules = rules or FollowRules()
        self.made = 0  # numbers given so far
        self._live: list[_Followed] = []
        self._time = float("-inf")

    def cut(self) -> None:
        """End all objects: the scene changes before the next key frame."""
        self._live = []

    def __call__(self, time: float, boxes: Sequence[Sequence[float]]) -> list[int]:
        """Return the number of each box.

        Objects of the key frame before choose first, so that one that is lost takes no box of one
        that is not. Each is looked for where its velocity takes it, then, for those that turned or
        stopped, where it was last. In each round the pairs that overlap most come first.

        Args:
            time: Seconds; later than that of the key frame before.
            boxes: `(x1, y1, x2, y2)`, in pixels.

        Raises:
            ValueError: For a time that is not later.
        """
        if not time > self._time:
            raise ValueError(f"expected a key frame after {self._time} s, got one at {time} s")
        before, self._time = self._time, time
        found = np.asarray(boxes, float).reshape(-1, 4)
        patience = self.rules.patience + 1e-9
        self._live = [one for one in self._live if time - one.time <= patience]
        owners: dict[int, _Followed] = {}
        fresh = [one for one in self._live if one.time == before]
        lost = [one for one in self._live if one.time != before]
        for objects in (fresh, lost):
            for places in ([one.expected(time) for one in objects], [one.box for one in objects]):
                self._pair(found, objects, np.array(places).reshape(-1, 4), owners)
        return [self._take(i, box, time, owners) for i, box in enumerate(found)]

    def _pair(
        self,
        found: Boxes,
        objects: Sequence[_Followed],
        expected: Boxes,
        owners: dict[int, _Followed],
    ) -> None:
        """Add to `owners` the pairs of a free box and a free object, the nearest first."""
        near = generalized_iou(found, expected)
        growth = np.abs(np.log(_areas(found)[:, None] / _areas(expected)[None]))
        near[growth > np.log(self.rules.most_growth)] = -1
        taken = {id(one) for one in owners.values()}
        near[list(owners)] = -1
        near[:, [i for i, one in enumerate(objects) if id(one) in taken]] = -1
        while near.size and near.max() > self.rules.least_overlap:
            i, j = divmod(int(near.argmax()), near.shape[1])
            owners[i] = objects[j]
            near[i], near[:, j] = -1, -1

    def _take(self, i: int, box: Boxes, time: float, owners: dict[int, _Followed]) -> int:
        """The number of box `i`, whose object goes on or begins with it."""
        if i in owners:
            owners[i].found(box, time)
            return owners[i].number
        self.made += 1
        self._live.append(_Followed(self.made, box, time))
        return self.made


def generalized_iou(a: Boxes, b: Boxes) -> Boxes:
    """Return the generalized IoU of all pairs of boxes, `[len(a), len(b)]`, in (-1, 1].

    IoU minus the share of the smallest box around both that neither covers (equation 1 of
    Rezatofighi et al., 2019).
    """
    shared = _extent(np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:]))
    around = _extent(np.minimum(a[:, None, :2], b[:, :2]), np.maximum(a[:, None, 2:], b[:, 2:]))
    union = _areas(a)[:, None] + _areas(b)[None] - shared
    return shared / union - (around - union) / np.maximum(around, union)


def _extent(low: Boxes, high: Boxes) -> Boxes:
    return np.clip(high - low, 0, None).prod(-1)


def _areas(boxes: Boxes) -> Boxes:
    """Areas, of a millionth at least: an empty box is near nothing but itself."""
    return np.maximum(_extent(boxes[:, :2], boxes[:, 2:]), 1e-6)


def _centre(box: Boxes) -> Boxes:
    return (box[:2] + box[2:]) / 2
