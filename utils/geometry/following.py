"""Following boxes through a video: boxes of successive key frames get numbers that last.

Each followed object moves at a constant velocity. A new box belongs to the object whose box, moved
to the new time, overlaps it most. Appearance plays no part. Works key frame by key frame, so that a
stream can be followed as it comes.

Detectors flicker: they miss objects, see some twice, and see some that are not there. As in
ByteTrack (Zhang et al., 2022), boxes of low score continue an object but begin none, and an object
counts once it was found several times.
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
        confirm: Key frames on which an object must be found to count.
        most_shared: Share of the smaller of two boxes that lies in the other: a box that shares
            more with an object's box is that object, seen twice.
    """

    patience: float = 1.0
    least_overlap: float = 0.0
    most_growth: float = 4.0
    confirm: int = 3
    most_shared: float = 0.4

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"patience: expected 0 or more seconds, got {self.patience}")
        if not -1 <= self.least_overlap < 1:
            raise ValueError(
                f"least_overlap: expected a value in [-1, 1), got {self.least_overlap}"
            )
        if self.most_growth < 1:
            raise ValueError(f"most_growth: expected 1 or more, got {self.most_growth}")
        if self.confirm < 1:
            raise ValueError(f"confirm: expected 1 or more key frames, got {self.confirm}")
        if not 0 < self.most_shared <= 1:
            raise ValueError(f"most_shared: expected a share in (0, 1], got {self.most_shared}")


@dataclass(eq=False)
class Followed:
    """An object: its number, its last box `[4]` and its time [s], its centre's velocity `[2]`.

    Attributes:
        steps: Key frames on which it was found, besides the first.
        missed: Key frames on which it was not, since the first.
        is_confirmed: It counts: it was found often enough, or always in a scene that was short.
    """

    number: int
    box: Boxes
    time: float
    velocity: Boxes = field(default_factory=lambda: np.zeros(2))
    steps: int = 0
    missed: int = 0
    is_confirmed: bool = False

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
    """Finds the object of each key frame's boxes; objects are numbered from 1 as they begin."""

    def __init__(self, rules: FollowRules | None = None) -> None:
        self.rules = rules or FollowRules()
        self.made = 0  # numbers given so far
        self._live: list[Followed] = []
        self._time = float("-inf")

    def cut(self) -> None:
        """End all objects: the scene or the video ends.

        Those that were found on every key frame since they began are confirmed: there were no more.
        """
        for one in self._live:
            one.is_confirmed = one.is_confirmed or not one.missed
        self._live = []

    def has(self, one: Followed) -> bool:
        """Whether an object may still be found."""
        return one in self._live

    def __call__(
        self, time: float, boxes: Sequence[Sequence[float]], sure: Sequence[bool] | None = None
    ) -> list[Followed | None]:
        """Return the object of each box; `None` for a box that is none.

        Confirmed objects choose before others, of each those of the key frame before first, so that
        one that is lost takes no box of one that is not. They choose among sure boxes, then among
        the others. Each is looked for where its velocity takes it, then, for those that turned or
        stopped, where it was last. In each round the pairs that overlap most come first.

        Args:
            time: Seconds; later than that of the key frame before.
            boxes: `(x1, y1, x2, y2)`, in pixels.
            sure: Whether each box may begin an object; `None`: all may.

        Raises:
            ValueError: For a time that is not later.
        """
        if not time > self._time:
            raise ValueError(f"expected a key frame after {self._time} s, got one at {time} s")
        before, self._time = self._time, time
        found = np.asarray(boxes, float).reshape(-1, 4)
        patience = self.rules.patience + 1e-9
        self._live = [one for one in self._live if time - one.time <= patience]
        is_sure = np.ones(len(found), bool) if sure is None else np.asarray(sure, bool)
        owners: dict[int, Followed] = {}
        for objects in self._ranks(before):
            for rows in (np.flatnonzero(is_sure), np.flatnonzero(~is_sure)):
                for places in ([o.expected(time) for o in objects], [o.box for o in objects]):
                    self._pair(found, rows, objects, np.array(places).reshape(-1, 4), owners)
        for one in self._live:
            one.missed += one not in owners.values()
        self._drop_doubles(found, owners)
        return [self._take(i, box, time, owners, is_sure[i]) for i, box in enumerate(found)]

    def _ranks(self, before: float) -> list[list[Followed]]:
        """The objects in the order in which they choose.

        Args:
            before: Time of the key frame before [s].
        """
        return [
            [o for o in self._live if o.is_confirmed == confirmed and (o.time == before) == fresh]
            for confirmed in (True, False)
            for fresh in (True, False)
        ]

    def _pair(
        self,
        found: Boxes,
        rows: NDArray[np.int64],
        objects: Sequence[Followed],
        expected: Boxes,
        owners: dict[int, Followed],
    ) -> None:
        """Add to `owners` pairs of a free box of `rows` and a free object, the nearest first."""
        near = generalized_iou(found[rows], expected)
        growth = np.abs(np.log(_areas(found[rows])[:, None] / _areas(expected)[None]))
        near[growth > np.log(self.rules.most_growth)] = -1
        taken = {id(one) for one in owners.values()}
        near[[k for k, i in enumerate(rows.tolist()) if i in owners]] = -1
        near[:, [j for j, one in enumerate(objects) if id(one) in taken]] = -1
        while near.size and near.max() > self.rules.least_overlap:
            k, j = divmod(int(near.argmax()), near.shape[1])
            owners[int(rows[k])] = objects[j]
            near[k], near[:, j] = -1, -1

    def _drop_doubles(self, found: Boxes, owners: dict[int, Followed]) -> None:
        """End unconfirmed objects that share their box with an older one; both are one object."""
        eldest = sorted(owners.items(), key=lambda item: (not item[1].is_confirmed, -item[1].steps))
        kept: list[int] = []
        for i, one in eldest:
            if not one.is_confirmed and self._is_seen(found[i], found[kept]):
                self._live.remove(one)
                del owners[i]
            else:
                kept.append(i)

    def _take(
        self, i: int, box: Boxes, time: float, owners: dict[int, Followed], is_sure: bool
    ) -> Followed | None:
        """The object of box `i`, which goes on or begins with it."""
        if i in owners:
            owners[i].found(box, time)
        elif is_sure and not self._is_seen(box, self._boxes_at(time)):
            self.made += 1
            owners[i] = Followed(self.made, box, time)
            self._live.append(owners[i])
        else:
            return None
        owners[i].is_confirmed |= owners[i].steps + 1 >= self.rules.confirm
        return owners[i]

    def _boxes_at(self, time: float) -> Boxes:
        """The boxes of objects that are known to be there at `time` [s]."""
        return np.array([one.box for one in self._live if one.time == time]).reshape(-1, 4)

    def _is_seen(self, box: Boxes, others: Boxes) -> bool:
        """Whether a box shares so much with one of `others` that both show one object."""
        shared = _extent(np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:]))
        least = np.minimum(_areas(box[None]), _areas(others))
        return bool((shared > self.rules.most_shared * least).any())


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
