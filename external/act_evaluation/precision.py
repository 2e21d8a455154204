"""Average precision of detections in descending order of score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from external.matching import Floats


def average_precision(hits: NDArray[np.bool_], positives: int, interpolated: bool = False) -> float:
    """Return the area under precision against recall.

    ACT's rule joins the points by straight lines, from (recall 0, precision 1) to the last recall.

    Args:
        hits: `[N]`, whether each detection found a ground truth, by descending score.
        positives: Number of ground truths; with none the result is nan.
        interpolated: VOC's: the precision at a recall is the highest at this or a higher one.
    """
    if positives == 0:
        return float("nan")
    found = np.cumsum(hits)
    precision = np.concatenate([[1.0], found / np.arange(1, len(hits) + 1)])
    recall = np.concatenate([[0.0], found / positives])
    if interpolated:
        highest = np.maximum.accumulate(precision[:0:-1])[::-1]
        return float((np.diff(recall) * highest).sum())
    return curve_area(precision, recall)


def curve_area(values: Floats, recall: Floats) -> float:
    """Return the area under `values` `[N]` against `recall` `[N]`, by trapezoids."""
    return float((np.diff(recall) * (values[1:] + values[:-1])).sum() / 2)
