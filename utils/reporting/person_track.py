"""The persons at any moment of a video, between the key frames on which they were detected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from utils.geometry.boxes import box_iou
from utils.reporting.persons import Box, Person

# Persons of two moments are taken for the same one where their boxes overlap by this much.
SAME_PERSON_IOU = 0.3


@dataclass
class KeyFrame:
    """The persons detected on one frame. frame: counted from 0. time: seconds from the first."""

    frame: int
    time: float
    persons: list[Person]


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
        weight = (time - before.time) / (after.time - before.time)
        return interpolate_persons(before.persons, after.persons, weight)


def interpolate_persons(
    before: Sequence[Person], after: Sequence[Person], weight: float
) -> list[Person]:
    """The persons at a moment between two detections, `weight` in [0, 1] of the way to `after`.

    A person in both, matched by overlap, moves along a straight line. A person in only one is shown
    while that one is nearer. Labels are those of the nearer detection.
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
        persons.append(Person(box, person.labels))
    return persons


def _between(a: Box, b: Box, weight: float) -> Box:
    x1, y1, x2, y2 = ((1 - weight) * p + weight * q for p, q in zip(a, b, strict=True))
    return x1, y1, x2, y2


def match_persons(a: Sequence[Person], b: Sequence[Person]) -> list[tuple[int, int]]:
    """Pairs `(index in a, index in b)`, the highest IoU first, each person at most once."""
    if not a or not b:
        return []
    overlaps = box_iou(torch.tensor([p.box for p in a]), torch.tensor([p.box for p in b]))
    pairs: list[tuple[int, int]] = []
    while overlaps.max() > SAME_PERSON_IOU:
        i, j = divmod(int(overlaps.argmax()), len(b))
        pairs.append((i, j))
        overlaps[i], overlaps[:, j] = 0.0, 0.0
    return pairs
