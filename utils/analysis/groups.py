"""AP of groups of persons: the small and the large ones, those who stand still and those who move.

The AP of a group counts only the group's boxes as positives, but all false positives of the class.
To make groups of different sizes comparable, precision is normalised to the number of boxes that
the class has altogether (Hoiem et al., "Diagnosing error in object detectors", normalised
precision). The group of all persons has the AP of the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.analysis.fates import ClassMatches, Fate, Matches

# Hoiem's five sizes: the smallest tenth of the persons, the next two tenths, ...
SIZE_NAMES = ("extra small", "small", "medium", "large", "extra large")
SIZE_SHARES = (0.1, 0.3, 0.7, 0.9)
MOTION_NAMES = ("small", "medium", "large")
MOTION_SHARES = (1 / 3, 2 / 3)


@dataclass(frozen=True)
class Groups:
    """G groups of persons by one property.

    Attributes:
        bounds: `[G, 2]`, least and largest value in each group, nan if it is empty.
        boxes: `[G]`, annotated boxes.
        found: `[G]`, those found.
        ap: `[C, G]`, nan where the class has no box there.
        unknown: Boxes of persons whose value is not known, in no group.
    """

    names: tuple[str, ...]
    bounds: np.ndarray
    boxes: np.ndarray
    found: np.ndarray
    ap: np.ndarray
    unknown: int

    def compared(self) -> np.ndarray:
        """`[C]` bool, the classes with boxes in every group that has any.

        The others are left out of the means: a class that is missing in one group would move it.
        Where there is no such class, all annotated ones count.
        """
        known = ~np.isnan(self.ap)
        everywhere = known[:, self.boxes > 0].all(axis=1) & known.any(axis=1)
        return everywhere if everywhere.any() else known.any(axis=1)

    def mean_ap(self) -> np.ndarray:
        """Mean of the classes that are compared `[G]`; nan for a group without boxes."""
        ap = self.ap[self.compared()]
        known = ~np.isnan(ap)
        total = np.where(known, ap, 0).sum(axis=0)
        return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def group(
    matches: Matches, values: np.ndarray, names: Sequence[str], shares: Sequence[float]
) -> Groups:
    """Divide persons by `values` `[P]` at the quantiles `shares`, and evaluate each group.

    Persons whose value is nan are in no group. Equal values stay together.
    """
    known = ~np.isnan(values)
    edges = np.quantile(values[known], shares) if known.any() else np.zeros(len(shares))
    of_person = np.where(known, np.searchsorted(edges, values, side="left"), -1)
    count = len(names)
    boxes, found = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    ap = np.full((len(matches.classes), count), np.nan)
    unknown = 0
    for c, of_class in enumerate(matches.classes):
        of_box = of_person[of_class.owner]
        unknown += int(np.count_nonzero(of_box < 0))
        for g in range(count):
            inside = of_box == g
            boxes[g] += np.count_nonzero(inside)
            found[g] += np.count_nonzero(of_class.fate[inside] == Fate.FOUND)
            ap[c, g] = normalized_ap(of_class, inside, matches.iou_threshold)
    bounds = np.array([_bounds(values[of_person == g]) for g in range(count)])
    return Groups(tuple(names), bounds, boxes, found, ap, unknown)


def normalized_ap(found: ClassMatches, inside: np.ndarray, iou_threshold: float) -> float:
    """AP of the annotated boxes `inside` `[m]` bool, normalised; nan if there are none.

    Detections that reach the threshold with another box of the class do not count. With k boxes
    inside, of m,

        p = r m / (r m + FP),    r = TP / k
    """
    count, total = int(np.count_nonzero(inside)), len(inside)
    if not count:
        return float("nan")
    elsewhere = (found.overlap >= iou_threshold) & ~inside[found.match]
    ranked = found.ranking()
    true = found.true[ranked[~elsewhere[ranked]]]
    hits = np.flatnonzero(true)
    recall = np.arange(1, len(hits) + 1) / count
    false = hits + 1 - np.arange(1, len(hits) + 1)
    precision = recall * total / (recall * total + false)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def _bounds(values: np.ndarray) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (np.nan, np.nan)
