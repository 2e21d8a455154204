"""How often each error occurs, what it costs, and which classes are taken for which."""

from __future__ import annotations

import numpy as np

from external.ava_evaluation.matching import average_precision
from utils.analysis.fates import KIND_NAMES, ClassMatches, Fate, Kind, Matches

GAIN_NAMES = (*KIND_NAMES[1:], "missed")


def class_ap(found: ClassMatches) -> float:
    """AP of a class, exactly the evaluation's."""
    return average_precision(found.score, found.true, len(found.owner))


def best_f1(found: ClassMatches) -> tuple[float, float]:
    """The threshold of scores that gives a class its best F1, and that F1; nan without boxes.

    Detections above the threshold count. It lies halfway to the next lower score, and at half the
    lowest score where all detections count. F1 is 2 TP / (detections + annotated boxes).
    """
    boxes, order = len(found.owner), found.ranking()
    if not boxes or not len(order):
        return float("nan"), float("nan") if not boxes else 0.0
    score = found.score[order]
    lower = np.append(score[1:], 0.0)
    f1 = 2 * np.cumsum(found.true[order]) / (np.arange(1, len(score) + 1) + boxes)
    f1[score == lower] = -1  # equal scores are on the same side
    best = int(f1.argmax())
    return float((score[best] + lower[best]) / 2), float(f1[best])


def count_kinds(found: ClassMatches, best: bool = False) -> np.ndarray:
    """Detections of each `Kind` `[6]`; with `best` only of the m best ones, m annotated boxes.

    All detections are mostly those of low scores that no one looks at; the m best are those that
    a perfect detector would have to get right (Hoiem et al.).
    """
    kind = found.kind[found.ranking()[: len(found.owner)]] if best else found.kind
    return np.bincount(kind, minlength=len(Kind))


def count_fates(found: ClassMatches) -> np.ndarray:
    """Annotated boxes of each `Fate` `[4]`."""
    return np.bincount(found.fate, minlength=len(Fate))


def gains(found: ClassMatches) -> np.ndarray:
    """AP that a class would gain without each kind of error `[6]`, in the order of `GAIN_NAMES`.

    Errors are mended one kind at a time (TIDE). A wrong box moves onto the annotated box, where
    no other detection has that one yet; every other false positive of the kind vanishes; missed
    boxes are no longer asked for. What a wrong class would gain for the right one is not counted.
    nan without annotated boxes.
    """
    base, total = class_ap(found), len(found.owner)
    if not total:
        return np.full(len(GAIN_NAMES), np.nan)
    mended = [_without(found, kind) for kind in Kind if kind != Kind.TRUE]
    mended[Kind.WRONG_BOX - 1] = _with_boxes_moved(found)
    remaining = total - int(np.count_nonzero(found.fate == Fate.MISSED))
    asked = average_precision(found.score, found.true, remaining) if remaining else 1.0
    return np.array([*mended, asked]) - base


def _without(found: ClassMatches, kind: Kind) -> float:
    kept = found.kind != kind
    return average_precision(found.score[kept], found.true[kept], len(found.owner))


def _with_boxes_moved(found: ClassMatches) -> float:
    """AP with the best wrong box of each annotated box that is not found as a true positive."""
    ranked = found.ranking()
    ranked = ranked[found.kind[ranked] == Kind.WRONG_BOX]
    ranked = ranked[found.fate[found.match[ranked]] != Fate.FOUND]
    _, first = np.unique(found.match[ranked], return_index=True)
    true = found.true.copy()
    true[ranked[first]] = True
    kept = true | (found.kind != Kind.WRONG_BOX)
    return average_precision(found.score[kept], true[kept], len(found.owner))


def confusion(matches: Matches) -> np.ndarray:
    """What the best detections of each class are on `[C, C]`: row detected as, column annotated.

    Of each class its m best detections, m annotated boxes. A true positive counts on the diagonal;
    a wrong class counts for the labels of the person whom it covers best, in equal shares that sum
    to 1. Other errors, and persons whose labels do not count, are in no column.
    """
    labels = matches.persons.labels
    share = labels / np.maximum(labels.sum(axis=1, keepdims=True), 1)
    table = np.zeros((len(matches.classes), len(matches.classes)))
    for c, found in enumerate(matches.classes):
        best = found.ranking()[: len(found.owner)]
        wrong = best[found.kind[best] == Kind.WRONG_CLASS]
        table[c] = share[found.person[wrong]].sum(axis=0)
        table[c, c] += np.count_nonzero(found.kind[best] == Kind.TRUE)
    return table
