"""Why a class has AP 0: the likeliest reason, for the report."""

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.matching import best_overlap
from external.ava_evaluation.selection import Selection


def reason_for_zero(c: int, chosen: Selection, iou_threshold: float) -> str:
    """Say why no detection of class c is a true positive, though it has ground truth."""
    found = chosen.found
    given = np.flatnonzero(found.table.label == list(chosen.label_map)[c])
    if not len(given):
        return "no detections"
    if not chosen.images.named[found.image(given)].any():
        return f"image keys never match: {_example_keys(c, chosen, given[0])}"
    if not len(found.by_class[c]):
        return f"all {len(given)} detections were dropped"
    counts = _overlapping_per_class(c, chosen, iou_threshold)
    if counts.any():
        most = int(np.argmax(counts))
        return (
            f"overlapping under another label: {counts.sum()} detections of other classes reach "
            f"its ground truth, most ({counts[most]}) of {list(chosen.label_map.values())[most]}"
        )
    return f"never overlapping: no detection of any class reaches IoU {iou_threshold:g}"


def _example_keys(c: int, chosen: Selection, row: int) -> str:
    truth, found = chosen.truth, chosen.found
    found_key = found.table.keys[found.table.image[row]]
    truth_key = truth.table.keys[truth.table.image[truth.by_class[c][0]]]
    return f"detections have {','.join(found_key)}, ground truth {','.join(truth_key)}"


def _overlapping_per_class(c: int, chosen: Selection, iou_threshold: float) -> NDArray[np.int64]:
    """Count, for each class, detections that overlap ground truth of class c. Returns [C]."""
    truth, found = chosen.truth, chosen.found
    truth_rows = truth.by_class[c]
    truth_image, boxes = truth.image(truth_rows), truth.table.boxes[truth_rows]
    counts = np.zeros(len(found.by_class), dtype=np.int64)
    for other, rows in enumerate(found.by_class):
        rows = rows[np.isin(found.image(rows), truth_image)]
        overlap, _ = best_overlap(found.table.boxes[rows], found.image(rows), boxes, truth_image)
        counts[other] = np.count_nonzero(overlap >= iou_threshold)
    return counts
