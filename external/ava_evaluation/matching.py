"""Which detections are true positives, and the average precision that follows."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ImageArray = NDArray[np.int32]


def iou(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of boxes in pairs: I / (A_a + A_b - I), no "+1".

    Args:
        a, b: [n, 4] as (x1, y1, x2, y2).

    Returns:
        [n]; nan for two boxes without area.
    """
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a.T, b.T
    width: FloatArray = np.maximum(np.minimum(ax2, bx2) - np.maximum(ax1, bx1), 0)
    height = np.maximum(np.minimum(ay2, by2) - np.maximum(ay1, by1), 0)
    intersection = width * height
    areas = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return intersection / (areas - intersection)


def best_overlap(
    boxes: FloatArray, image: ImageArray, truth: FloatArray, truth_image: ImageArray
) -> tuple[FloatArray, IntArray]:
    """Find for each box the ground truth of its image that it overlaps most.

    Args:
        boxes: [n, 4] and image: [n], in any order.
        truth: [m, 4] and truth_image: [m], ascending.

    Returns:
        The largest IoU [n], 0 where nothing overlaps, and the index into `truth` [n], -1 there; of
        equal overlaps the first counts.
    """
    first = np.searchsorted(truth_image, image, side="left")
    count = np.searchsorted(truth_image, image, side="right") - first
    best, match = np.zeros(len(boxes)), np.full(len(boxes), -1)
    step, active = 0, np.flatnonzero(count)
    while active.size:
        candidate = first[active] + step
        overlap = iou(boxes[active], truth[candidate])
        better = overlap > best[active]
        best[active[better]] = overlap[better]
        match[active[better]] = candidate[better]
        step += 1
        active = active[count[active] > step]
    return best, match


def true_positives(overlap: FloatArray, match: IntArray, iou_threshold: float) -> NDArray[np.bool_]:
    """Give each ground truth to the first detection that reaches the threshold with it.

    Args:
        overlap, match: [n] of `best_overlap`, the detections of each image best first.

    Returns:
        [n]. A detection has one candidate, its best overlap, claimed or not: there is no second
        best.
    """
    reached = np.flatnonzero(overlap >= iou_threshold)
    _, first = np.unique(match[reached], return_index=True)
    true = np.zeros(len(overlap), dtype=bool)
    true[reached[first]] = True
    return true


def average_precision(score: FloatArray, true: NDArray[np.bool_], positives: int) -> float:
    """Area under the precision-recall curve, precision made non-increasing from the right.

    AP = sum_k (r_k - r_{k-1}) max_{m >= k} p_m, p_k = TP_k / k, r_k = TP_k / n_c

    Recall moves only at true positives, and precision falls between them: they are all we visit.

    Args:
        score, true: [n] over all images; of equal scores the later entry ranks first.
        positives: n_c, the number of ground-truth boxes.

    Returns:
        AP in [0, 1], nan for n_c = 0.
    """
    if positives == 0:
        return float("nan")
    ranked = true[np.argsort(score, kind="stable")[::-1]]
    rank = np.flatnonzero(ranked) + 1
    found = np.arange(1, len(rank) + 1)
    precision = np.maximum.accumulate((found / rank)[::-1])[::-1]
    return float(np.sum(np.diff(found / positives, prepend=0.0) * precision))
