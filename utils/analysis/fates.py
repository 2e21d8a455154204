"""Each detection and each annotated box of an evaluation, and what became of it.

In the spirit of Hoiem et al. (ECCV 2012), ACT (ICCV 2017) and TIDE (ECCV 2020), for persons with
several labels. A detection is matched as the protocol matches it; one that is no true positive is

- a *duplicate*, if it reaches IoU 0.5 with an annotated box of its class, which another one has;
- a *wrong class*, if it reaches 0.5 with a person who is not annotated with its class;
- a *wrong box*, if it reaches 0.1 with an annotated box of its class;
- *wrong box and class*, if it reaches 0.1 with any person;
- *background* otherwise.

An annotated box is *found*, or else has a *wrong box* (a detection of its class reaches 0.1), or a
*wrong class* (a detection of another class reaches 0.5), or is *missed*.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

import numpy as np

from external.ava_evaluation.matching import best_overlap, true_positives
from external.ava_evaluation.parallel import threaded
from external.ava_evaluation.selection import Selection
from utils.analysis.persons import Persons, find_persons

# Below this overlap a detection has nothing to do with the person (TIDE's background threshold).
BACKGROUND_IOU = 0.1


class Kind(IntEnum):
    """What a detection is."""

    TRUE = 0
    DUPLICATE = 1
    WRONG_CLASS = 2
    WRONG_BOX = 3
    WRONG_BOTH = 4
    BACKGROUND = 5


class Fate(IntEnum):
    """What became of an annotated box."""

    FOUND = 0
    WRONG_BOX = 1
    WRONG_CLASS = 2
    MISSED = 3


KIND_NAMES = (
    "true positive",
    "duplicate",
    "wrong class",
    "wrong box",
    "wrong box and class",
    "background",
)
FATE_NAMES = ("found", "wrong box", "wrong class", "missed")


@dataclass(frozen=True)
class ClassMatches:
    """n detections of one class, in the evaluation's order, and its m annotated boxes.

    Attributes:
        score, overlap: `[n]`, the latter with the annotated box of the class that it covers best.
        match: `[n]`, that box, -1 without one.
        kind: `[n]`, a `Kind`.
        person: `[n]`, the person that the detection covers best, -1 without one.
        owner: `[m]`, the person of each annotated box.
        fate: `[m]`, a `Fate`.
    """

    score: np.ndarray
    overlap: np.ndarray
    match: np.ndarray
    kind: np.ndarray
    person: np.ndarray
    owner: np.ndarray
    fate: np.ndarray

    @property
    def true(self) -> np.ndarray:
        """`[n]` bool, the true positives."""
        return self.kind == Kind.TRUE

    def ranking(self) -> np.ndarray:
        """Detections by descending score `[n]`; of equal scores the later first, as in AP."""
        return np.argsort(self.score, kind="stable")[::-1]


@dataclass(frozen=True)
class Matches:
    """All classes of an evaluation."""

    chosen: Selection
    persons: Persons
    classes: list[ClassMatches]
    iou_threshold: float


def match_all(chosen: Selection, iou_threshold: float, with_ids: bool) -> Matches:
    """Match everything that is evaluated.

    Args:
        with_ids: See `find_persons`.
    """
    persons = find_persons(chosen, with_ids)
    reached = _reached(chosen, persons, iou_threshold)
    match = partial(_match_class, chosen, persons, reached, iou_threshold)
    return Matches(
        chosen, persons, list(threaded(match, range(len(chosen.label_map)))), iou_threshold
    )


def _reached(chosen: Selection, persons: Persons, iou_threshold: float) -> np.ndarray:
    """`[P]` bool: whether a detection of any class reaches the threshold with the person."""
    rows = np.concatenate([*chosen.found.by_class, np.zeros(0, dtype=np.int64)])
    overlap = _best_detection(chosen, rows, persons.boxes, persons.image)
    return overlap >= iou_threshold


def _best_detection(
    chosen: Selection, rows: np.ndarray, boxes: np.ndarray, image: np.ndarray
) -> np.ndarray:
    """Best IoU of each box `[m]` with any of the detections `rows`."""
    found = chosen.found
    rows = rows[np.argsort(found.image(rows), kind="stable")]
    return best_overlap(boxes, image, found.table.boxes[rows], found.image(rows))[0]


def _match_class(
    chosen: Selection, persons: Persons, reached: np.ndarray, iou_threshold: float, c: int
) -> ClassMatches:
    truth, found = chosen.truth, chosen.found
    truth_rows, rows = truth.by_class[c], found.by_class[c]
    boxes, image = found.table.boxes[rows], found.image(rows)
    annotated, annotated_image = truth.table.boxes[truth_rows], truth.image(truth_rows)
    overlap, match = best_overlap(boxes, image, annotated, annotated_image)
    true = true_positives(overlap, match, iou_threshold)
    any_overlap, person = best_overlap(boxes, image, persons.boxes, persons.image)
    owner = persons.of_row[truth_rows]
    claimed = np.zeros(len(truth_rows), dtype=bool)
    claimed[match[true]] = True
    own_overlap = _best_detection(chosen, rows, annotated, annotated_image)
    return ClassMatches(
        score=found.table.score[rows],
        overlap=overlap,
        match=match,
        kind=_kinds(true, overlap, any_overlap, iou_threshold),
        person=person,
        owner=owner,
        fate=_fates(claimed, own_overlap, reached[owner]),
    )


def _kinds(
    true: np.ndarray, overlap: np.ndarray, any_overlap: np.ndarray, iou_threshold: float
) -> np.ndarray:
    """The first that holds, in the order of this module's list.

    A box that reaches the threshold with some person, and with none of its class, is on somebody
    who is not annotated with the class: the best overlap decides, whoever it is.
    """
    conditions = [
        true,
        overlap >= iou_threshold,
        any_overlap >= iou_threshold,
        overlap >= BACKGROUND_IOU,
        any_overlap >= BACKGROUND_IOU,
    ]
    return np.select(conditions, [int(kind) for kind in Kind][:-1], int(Kind.BACKGROUND))


def _fates(claimed: np.ndarray, own_overlap: np.ndarray, reached: np.ndarray) -> np.ndarray:
    conditions = [claimed, own_overlap >= BACKGROUND_IOU, reached]
    return np.select(conditions, [int(fate) for fate in Fate][:-1], int(Fate.MISSED))
