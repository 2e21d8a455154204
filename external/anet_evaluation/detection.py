"""Average precision of temporal detections, by the rule of the ActivityNet toolkit.

Predictions by descending score; each walks its video's ground truth by descending overlap: below
the threshold it is false, one that is taken already is passed over, else it is true. So a second
detection of a segment may still find another segment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from external.anet_evaluation.segments import Segments, segment_overlaps
from external.matching import Floats, Pairs, match, pair_up

THUMOS = tuple(round(0.1 * i, 1) for i in range(1, 10))
"""Thresholds of THUMOS14; the headline is 0.5."""

ACTIVITYNET = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""Thresholds of ActivityNet; the headline is the mean of the ten mAPs."""


def interpolated_ap(precision: Floats, recall: Floats) -> float:
    """Return the area under the precision made non-increasing, from recall 0 to 1.

    Args:
        precision, recall: `[N]`, after each prediction by descending score.
    """
    highest = np.maximum.accumulate(np.concatenate([precision, [0.0]])[::-1])[::-1]
    steps = np.diff(np.concatenate([[0.0], recall, [1.0]]))
    return float((steps * highest).sum())


def segment_ap(
    predictions: Segments, truth: Segments, classes: int, thresholds: Sequence[float]
) -> Floats:
    """Return the average precision `[thresholds, classes]`.

    nan for a class without ground truth, 0 for one without predictions. Equal scores are taken in
    their order.
    """
    ordered = predictions[np.argsort(-predictions.score, kind="stable")]
    labels = max(classes, int(ordered.label.max(initial=0)) + 1)
    groups = ordered.video * labels + ordered.label
    first, second = pair_up(groups, truth.video * labels + truth.label)
    overlap = segment_overlaps(
        ordered.start[first], ordered.end[first], truth.start[second], truth.end[second]
    )
    pairs = Pairs(first, second, overlap)
    positives = np.bincount(truth.label, minlength=classes)
    result = np.full((len(thresholds), classes), np.nan)
    for row, threshold in enumerate(thresholds):
        hits = match(pairs, groups, len(truth), threshold) >= 0
        for c in np.flatnonzero(positives[:classes]):
            own = hits[ordered.label == c]
            found = np.cumsum(own)
            precision = found / np.arange(1, len(own) + 1)
            result[row, c] = interpolated_ap(precision, found / positives[c])
    return result


def best_overlaps(predictions: Segments, truth: Segments) -> Floats:
    """Return for each segment of `truth` the best overlap with a prediction of its class, `[N]`."""
    labels = int(max(predictions.label.max(initial=0), truth.label.max(initial=0))) + 1
    first, second = pair_up(
        truth.video * labels + truth.label, predictions.video * labels + predictions.label
    )
    best = np.zeros(len(truth))
    overlap = segment_overlaps(
        truth.start[first], truth.end[first], predictions.start[second], predictions.end[second]
    )
    np.maximum.at(best, first, overlap)
    return best
