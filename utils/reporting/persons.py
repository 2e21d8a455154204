"""The persons that a picture shows: detections of any class that overlap are one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from utils.evaluation.postprocess import Detections, PostProcess
from utils.geometry.boxes import box_iou, normalize_boxes, scale_boxes
from utils.reporting.label_choice import LabelChoice
from utils.structures import ClipTargets, StepOutput

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Person:
    """One person of a picture.

    Attributes:
        box: In pixels.
        labels: `(class counted from 0, score)`, best score first.
        number: Of the person in the video, from 1; `None` where persons are not followed.
        unsure: Of one without labels, whose scores are too low: the best of them.
    """

    box: Box
    labels: list[tuple[int, float]]
    number: int | None = None
    unsure: float = 0.0


UNSURE = 0.5
"""Share of an action's threshold from which a box may still show a person who was seen before."""


@dataclass(frozen=True)
class PersonFinder:
    """Finds the persons on key frames in a step's output.

    Attributes:
        post_process: Turns the output into detections, also those that are `UNSURE`.
        merge_threshold: See `merge_detections`.
        score_threshold: Scores above it count.
        choice: Which scores count, in the place of `score_threshold`.
    """

    post_process: PostProcess
    merge_threshold: float
    score_threshold: float
    choice: LabelChoice | None = None

    def __call__(
        self,
        output: StepOutput,
        counts: Sequence[int],
        height: int,
        width: int,
        frame_sizes: Sequence[tuple[int, int]],
    ) -> list[list[Person]]:
        """Return the persons of each clip, best score first, boxes in pixels of its key frame.

        Those of whom nothing counts, but nearly, come last and have no labels.

        Args:
            counts, height, width: As in `split_clips`.
            frame_sizes: Height and width of each clip's key frame, which was resized to
                `height x width` for the detector.
        """
        found = self.post_process(output, counts, height, width)
        persons = []
        for detections, frame_size in zip(found, frame_sizes, strict=True):
            boxes = normalize_boxes(detections.boxes.cpu(), height, width)
            scaled = Detections(
                scale_boxes(boxes, *frame_size), detections.classes.cpu(), detections.scores.cpu()
            )
            persons.append(self._merged(scaled))
        return persons

    def _merged(self, found: Detections) -> list[Person]:
        """The persons of detections that count, then others who are none of these."""
        sure = merge_detections(self._counting(found, 1), self.merge_threshold)
        rest = self._counting(found, UNSURE)
        boxes = torch.tensor([person.box for person in sure]).reshape(-1, 4)
        apart = (box_iou(rest.boxes, boxes) <= self.merge_threshold).all(dim=1)
        left = Detections(rest.boxes[apart], rest.classes[apart], rest.scores[apart])
        unsure = merge_detections(left, self.merge_threshold)
        return sure + [Person(p.box, [], unsure=p.labels[0][1]) for p in unsure]

    def _counting(self, found: Detections, share: float) -> Detections:
        """The detections whose scores are above a share of their threshold."""
        if self.choice is not None:
            return self.choice.scaled(share)(found)
        kept = found.scores > share * self.score_threshold
        return Detections(found.boxes[kept], found.classes[kept], found.scores[kept])


def merge_detections(detections: Detections, merge_threshold: float) -> list[Person]:
    """Join detections that show the same person: one box, all its labels, each with its best score.

    Visits detections from the best score down. Each absorbs all others, of any class, whose IoU
    with it is strictly above `merge_threshold`. The person's box is the mean of the absorbed boxes
    and its own, weighted by score. Repeats that until nothing is left to join.
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


def annotated_persons(targets: ClipTargets) -> list[Person]:
    """The annotation as persons, to be drawn: every label has score 1."""
    return [
        Person(tuple(box), [(c, 1.0) for c in labels.nonzero()[:, 0].tolist()])
        for box, labels in zip(targets.boxes.cpu().tolist(), targets.labels.cpu(), strict=True)
    ]
