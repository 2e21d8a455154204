"""From a step's output to detections, and from detections to the persons that a picture shows.

Paper, section 4.1 ("Implementation details"); docs/method.md, "Post-processing".
Letters: N tubes of all clips together, M of one clip, C classes, D detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.geometry.boxes import box_iou, make_valid
from utils.ops import nms_classes
from utils.structures import StepOutput

# Persons of two moments are taken for the same one where their boxes overlap by this much.
SAME_PERSON_IOU = 0.3

Box = tuple[float, float, float, float]


@dataclass
class Detections:
    """What is detected on one key frame, best score first.

    boxes: `[D, 4]` float32, pixels of the resized image. classes: `[D]` int64, counted from 0: a
    column of the scores, not an id of the label map. scores: `[D]` float32.
    """

    boxes: Tensor
    classes: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Person:
    """One person of a picture: box in pixels, `(class counted from 0, score)` best score first."""

    box: Box
    labels: list[tuple[int, float]]


@dataclass(frozen=True)
class PostProcess:
    """Turns one step's output into the detections of each clip.

    Of each class the scores strictly above `score_threshold` enter NMS at IoU `nms_threshold`
    (1 keeps everything); the `max_detections` best over all classes stay.
    Law: a clip's detections do not depend on the other clips of its batch.
    """

    score_threshold: float = 0.01
    nms_threshold: float = 0.4
    max_detections: int = 300

    def __call__(
        self, output: StepOutput, counts: Sequence[int], height: int, width: int
    ) -> list[Detections]:
        """Return the detections of each clip; the arguments are those of `split_clips`."""
        return [self.detect(*clip) for clip in split_clips(output, counts, height, width)]

    def detect(self, boxes: Tensor, scores: Tensor) -> Detections:
        """Return the detections of one clip: valid boxes `[M, 4]` in pixels, scores `[M, C]`."""
        # In float64, so that boxes far from the origin overlap as those near it do.
        kept = nms_classes(boxes.double(), scores, self.nms_threshold, self.score_threshold)
        tubes, classes = kept.nonzero(as_tuple=True)  # [D], [D]
        found = scores[tubes, classes]  # [D]
        best = found.argsort(descending=True, stable=True)[: self.max_detections]
        return Detections(boxes[tubes[best]], classes[best], found[best])


def split_clips(
    output: StepOutput, counts: Sequence[int], height: int, width: int
) -> list[tuple[Tensor, Tensor]]:
    """Return each clip's boxes `[M, 4]`, made valid, and scores `[M, C]`, float32.

    counts: tubes of each clip, summing to N. height, width: of the resized image, in pixels.
    """
    assert sum(counts) == len(output.scores), f"{len(output.scores)} tubes, expected {counts}"
    boxes = make_valid(output.boxes.detach().float(), height, width)  # [N, 4]
    scores = output.scores.detach().float()  # [N, C]
    return list(zip(boxes.split(list(counts)), scores.split(list(counts)), strict=True))


def merge_detections(detections: Detections, merge_threshold: float) -> list[Person]:
    """Join detections that show the same person: one box, all its labels, each with its best score.

    From the best score down, a detection takes in all, of its own class and others, whose IoU with
    it is strictly above `merge_threshold`. The person's box is the mean of theirs, each counting
    by its score. Repeats that until nothing is left to join.
    Law: no two persons overlap by more than `merge_threshold`.
    """
    boxes, classes = detections.boxes.tolist(), detections.classes.tolist()
    rows = zip(boxes, classes, detections.scores.tolist(), strict=True)
    merged = [(Person(tuple(box), [(label, score)]), score) for box, label, score in rows]
    count = len(merged) + 1
    while len(merged) < count:
        count = len(merged)
        merged = _merge_once(merged, merge_threshold)
    return [person for person, _ in merged]


def _merge_once(
    persons: list[tuple[Person, float]], merge_threshold: float
) -> list[tuple[Person, float]]:
    """Join persons, each with the sum of the scores in it, that overlap with a better one."""
    order = sorted(persons, key=lambda pair: -pair[0].labels[0][1])
    boxes = torch.tensor([person.box for person, _ in order]).reshape(-1, 4)
    overlaps = (box_iou(boxes, boxes) > merge_threshold).tolist()
    left, joined = list(range(len(order))), []
    while left:
        first, *others = left
        members = [first, *(other for other in others if overlaps[first][other])]
        joined.append(_join([order[i] for i in members]))
        left = [i for i in left if i not in members]
    return joined


def _join(members: Sequence[tuple[Person, float]]) -> tuple[Person, float]:
    """One person of several: the mean box by weight, the best score of each label."""
    weights = [weight for _, weight in members]
    total = sum(weights) or 1.0
    columns = zip(*(person.box for person, _ in members), strict=True)
    x1, y1, x2, y2 = (
        sum(w * v for w, v in zip(weights, column, strict=True)) / total for column in columns
    )
    best: dict[int, float] = {}
    for person, _ in members:
        for label, score in person.labels:
            best[label] = max(score, best.get(label, score))
    labels = sorted(best.items(), key=lambda item: -item[1])
    return Person((x1, y1, x2, y2), labels), sum(weights)


def interpolate_persons(
    before: Sequence[Person], after: Sequence[Person], weight: float
) -> list[Person]:
    """The persons at a moment between two detections, `weight` in [0, 1] of the way to `after`.

    Whoever is in both, by overlap, moves along a straight line; whoever is in one only is shown
    while that one is the nearer. Labels are those of the nearer detection.
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
