"""Why a class has AP 0: the likeliest reason, for the report."""

from collections.abc import Sequence

import numpy as np

from external.ava_evaluation.images import Images
from external.ava_evaluation.matching import best_overlap
from external.ava_evaluation.selection import Rows


def reason_for_zero(
    c: int,
    ids: Sequence[int],
    names: Sequence[str],
    images: Images,
    truth: Rows,
    found: Rows,
    iou_threshold: float,
) -> str:
    """Say why no detection of class c, an index into `ids` and `names`, is a true positive."""
    given = np.flatnonzero(found.table.label == ids[c])
    if not len(given):
        return "no detections"
    if not images.named[found.image(given)].any():
        return f"image keys never match: {_example_keys(c, images, truth, found, given[0])}"
    if not len(found.by_class[c]):
        return f"all {len(given)} detections were dropped"
    counts = _overlapping_per_class(c, truth, found, iou_threshold)
    if counts.any():
        most = int(np.argmax(counts))
        return (
            f"overlapping under another label: {counts.sum()} detections of other classes reach "
            f"its ground truth, most ({counts[most]}) of {names[most]}"
        )
    return f"never overlapping: no detection of any class reaches IoU {iou_threshold:g}"


def _example_keys(c: int, images: Images, truth: Rows, found: Rows, row: int) -> str:
    found_key = found.table.keys[found.table.image[row]]
    truth_key = truth.table.keys[truth.table.image[truth.by_class[c][0]]]
    return f"detections have {','.join(found_key)}, ground truth {','.join(truth_key)}"


def _overlapping_per_class(
    c: int, truth: Rows, found: Rows, iou_threshold: float
) -> np.ndarray:
    """Count, for each class, detections that overlap ground truth of class c. Returns [C]."""
    truth_rows = truth.by_class[c]
    truth_image, boxes = truth.image(truth_rows), truth.table.boxes[truth_rows]
    counts = np.zeros(len(found.by_class), dtype=np.int64)
    for other, rows in enumerate(found.by_class):
        rows = rows[np.isin(found.image(rows), truth_image)]
        overlap, _ = best_overlap(found.table.boxes[rows], found.image(rows), boxes, truth_image)
        counts[other] = np.count_nonzero(overlap >= iou_threshold)
    return counts
