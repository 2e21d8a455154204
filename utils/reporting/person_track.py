"""Persons through a video: their numbers, and where they are between key frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from utils.geometry.boxes import box_iou
from utils.geometry.following import BoxFollower, Followed, FollowRules
from utils.geometry.joining import Node, Path
from utils.geometry.paths import SeenBoxes, find_paths
from utils.reporting.persons import Box, Person

# Persons of two moments are taken for the same one where their boxes overlap by this much.
SAME_PERSON_IOU = 0.3


@dataclass
class KeyFrame:
    """The persons detected on one frame.

    Attributes:
        frame: Counted from 0.
        time: Seconds from the first.
        cut: Time of the last scene cut since the key frame before.
        steps: Where each step of the detector had its boxes, if that was noted.
    """

    frame: int
    time: float
    persons: list[Person]
    cut: float | None = None
    steps: StepBoxes | None = None


@dataclass(frozen=True)
class StepBoxes:
    """How a detector came to its boxes on a key frame: S steps of N tubes each.

    Attributes:
        boxes: `[S + 1, N, 4]` float32, in pixels of the key frame: the proposals, and each step's
            boxes of the same tubes.
        labels, scores: `[S + 1, N]`, the best class of each, from 0, and its score; 0 for the
            proposals.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor


class PersonNumbers:
    """Gives the persons of a stream's key frames, which come in order, numbers that last."""

    def __init__(self, rules: FollowRules | None = None) -> None:
        self._follower = BoxFollower(rules)
        self._numbers: dict[Followed, int] = {}
        self._made = 0

    def __call__(self, key: KeyFrame) -> KeyFrame:
        """Return the key frame; those who may still turn out to be nobody have no number."""
        if key.cut is not None:
            self._follower.cut()
        boxes = [person.box for person in key.persons]
        seen = self._follower(key.time, boxes, [bool(person.labels) for person in key.persons])
        self._numbers = {one: n for one, n in self._numbers.items() if self._follower.has(one)}
        shown = [(p, o) for p, o in zip(key.persons, seen, strict=True) if o is not None]
        return replace(key, persons=[replace(p, number=self._number(one)) for p, one in shown])

    def _number(self, one: Followed) -> int | None:
        """A person's number, counted in the order in which persons are confirmed."""
        if not one.is_confirmed:
            return None
        if one not in self._numbers:
            self._made += 1
            self._numbers[one] = self._made
        return self._numbers[one]


LOOK_AHEAD = 10.0
"""Seconds after a key frame that decide who is on it, if the scene is that long."""

AT_ONCE = 5.0
"""Seconds of key frames that are decided together."""


class PersonPaths:
    """Gives the persons of a video's key frames numbers that last, by what comes later as well.

    A key frame comes back `LOOK_AHEAD` to `LOOK_AHEAD + AT_ONCE` seconds of the video after it
    came, or at the end of its scene, without those who are nobody.
    """

    def __init__(self, rules: FollowRules | None = None) -> None:
        self._rules = rules or FollowRules()
        self._keys: list[KeyFrame] = []  # some that are decided, then those that are not
        self._decided = 0  # how many of `_keys` are
        self._paths: dict[int, Path] = {}  # of persons who may go on, through the decided ones
        self._made = 0

    def __call__(self, key: KeyFrame) -> list[KeyFrame]:
        """Return the key frames, before this one, that are decided by now.

        A cut before the key frame ends all earlier persons.
        """
        decided = self.finish() if key.cut is not None else []
        self._keys.append(key)
        if key.time - self._keys[self._decided].time >= LOOK_AHEAD + AT_ONCE:
            decided += self._decide(key.time - LOOK_AHEAD)
        return decided

    def finish(self) -> list[KeyFrame]:
        """Return all key frames that are left: the scene or the video ends."""
        decided = self._decide(float("inf"))
        self._keys, self._decided, self._paths = [], 0, {}
        return decided

    def _decide(self, until: float) -> list[KeyFrame]:
        """Return the open key frames before time `until` [s], with their persons."""
        begin, count = self._decided, sum(key.time < until for key in self._keys)
        seen = [_seen_boxes(key) for key in self._keys]
        found = find_paths(seen, self._rules, list(self._paths.values()), begin)
        numbers, made = list(self._paths), self._made
        for path in found[len(numbers) :]:
            if path[0][0] < count:  # who begins later may still turn out to be somebody else
                made += 1
                numbers.append(made)
        owners = {node: n for n, path in zip(numbers, found, strict=False) for node in path}
        decided = [self._numbered(k, owners) for k in range(begin, count)]
        self._made = made
        self._forget(dict(zip(numbers, found, strict=False)), count)
        return decided

    def _numbered(self, k: int, owners: Mapping[Node, int]) -> KeyFrame:
        """Key frame `k` with the persons who are on a path, and their numbers."""
        persons = self._keys[k].persons
        known = [
            replace(person, number=owners[k, i])
            for i, person in enumerate(persons)
            if (k, i) in owners
        ]
        return replace(self._keys[k], persons=known)

    def _forget(self, paths: Mapping[int, Path], count: int) -> None:
        """Keep of the first `count` key frames, which are decided, those that a path may leave."""
        if not count:
            return
        oldest = self._keys[count - 1].time - self._rules.patience - AT_ONCE
        first = next(k for k, key in enumerate(self._keys) if key.time >= oldest)
        kept = {
            number: [(k - first, i) for k, i in path if first <= k < count]
            for number, path in paths.items()
        }
        self._paths = {number: path for number, path in kept.items() if path}
        self._keys, self._decided = self._keys[first:], count - first


def _seen_boxes(key: KeyFrame) -> SeenBoxes:
    """The boxes of a key frame; who has no label may begin no path."""
    boxes = np.array([person.box for person in key.persons], float).reshape(-1, 4)
    scores = np.array([max((s for _, s in p.labels), default=0.0) for p in key.persons])
    return SeenBoxes(key.time, boxes, scores)


class PersonTrack:
    """The persons at any moment, from key frames in order of time, which may still be to come."""

    def __init__(self, key_frames: Iterable[KeyFrame]) -> None:
        self._coming = iter(key_frames)
        self._before: KeyFrame | None = None
        self._after: KeyFrame | None = next(self._coming, None)

    def at(self, time: float) -> list[Person]:
        """Return the persons at `time` [s], no earlier than the one asked for before.

        Interpolates between key frames; before the first and after the last it repeats the nearest.
        A key frame is taken only when the first moment after the one before it is asked for.
        """
        while self._after is not None and self._after.time < time:
            self._before, self._after = self._after, next(self._coming, None)
        before, after = self._before, self._after
        if before is None or after is None:
            nearest = after or before
            return nearest.persons if nearest else []
        if after.cut is not None:
            return before.persons if time < after.cut else after.persons
        weight = (time - before.time) / (after.time - before.time)
        return interpolate_persons(before.persons, after.persons, weight)


def interpolate_persons(
    before: Sequence[Person], after: Sequence[Person], weight: float
) -> list[Person]:
    """The persons at a moment between two detections, `weight` in [0, 1] of the way to `after`.

    A person in both, matched by number or, without numbers, by overlap, moves along a straight
    line. A person in only one is shown while that one is nearer. Labels are those of the nearer
    detection.
    Law: `weight` 0 gives `before`, 1 gives `after`.
    """
    pairs = match_persons(before, after)
    nearer, sides = (before, 0) if weight < 0.5 else (after, 1)
    partner = {pair[sides]: pair for pair in pairs}
    persons = []
    for i, person in enumerate(nearer):
        box = person.box
        if i in partner:
            a, b = before[partner[i][0]].box, after[partner[i][1]].box
            box = _between(a, b, weight)
        persons.append(replace(person, box=box))
    return persons


def _between(a: Box, b: Box, weight: float) -> Box:
    x1, y1, x2, y2 = ((1 - weight) * p + weight * q for p, q in zip(a, b, strict=True))
    return x1, y1, x2, y2


def match_persons(a: Sequence[Person], b: Sequence[Person]) -> list[tuple[int, int]]:
    """Pairs `(index in a, index in b)` of the same persons, each at most once.

    Persons with numbers are paired by these, others by overlap, the highest IoU first.
    """
    if not a or not b:
        return []
    if all(person.number is not None for person in (*a, *b)):
        places = {person.number: j for j, person in enumerate(b)}
        return [(i, places[p.number]) for i, p in enumerate(a) if p.number in places]
    overlaps = box_iou(torch.tensor([p.box for p in a]), torch.tensor([p.box for p in b]))
    pairs: list[tuple[int, int]] = []
    while overlaps.max() > SAME_PERSON_IOU:
        i, j = divmod(int(overlaps.argmax()), len(b))
        pairs.append((i, j))
        overlaps[i], overlaps[:, j] = 0.0, 0.0
    return pairs
