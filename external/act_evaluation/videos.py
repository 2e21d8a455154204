"""Video-AP: whole tubes against whole tubes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from external.act_evaluation.geometry import box_overlaps
from external.act_evaluation.precision import average_precision
from external.act_evaluation.protocol import PROTOCOLS, Protocol
from external.act_evaluation.structures import Tubes
from external.matching import Floats, Ints, Pairs, match, pair_up, suppress

ACT = PROTOCOLS["act"]
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
STRICT_RANGE = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
"""Thresholds whose mean video-mAP is written 0.5:0.95."""

CHUNK_ROWS = 1 << 20
"""Pairs of boxes that are compared at a time: 100 MB or so."""


def tube_overlaps(
    a: Tubes,
    first: Ints,
    b: Tubes,
    second: Ints,
    pad: float = 1.0,
    spatial_only: bool = False,
    least_common_frames: int = 1,
) -> Floats:
    """Return the spatio-temporal overlap of tubes `a[first[p]]` and `b[second[p]]`, `[P]`.

    It is the mean overlap of the boxes on the frames that both have, times these frames' number
    over that of the frames that either spans; `spatial_only` leaves the factor out. Tubes that
    share fewer than `least_common_frames` frames have 0.
    """
    low = np.maximum(a.start[first], b.start[second])
    high = np.minimum(a.last[first], b.last[second])
    common = np.maximum(high - low + 1, 0)
    common[common < least_common_frames] = 0
    span = np.maximum(a.last[first], b.last[second]) - np.minimum(a.start[first], b.start[second])
    sums: Floats = np.zeros(len(first))
    ends = np.cumsum(common)
    cuts = np.searchsorted(ends, np.arange(CHUNK_ROWS, common.sum(), CHUNK_ROWS))
    for start, end in pairwise([0, *cuts.tolist(), len(first)]):
        chunk = slice(start, end)
        sums[chunk] = _summed(
            a=a,
            first=first[chunk],
            b=b,
            second=second[chunk],
            low=low[chunk],
            common=common[chunk],
            pad=pad,
        )
    mean: Floats = sums / np.maximum(common, 1)
    return mean if spatial_only else mean * (common / (span + 1))


def _summed(
    a: Tubes, first: Ints, b: Tubes, second: Ints, low: Ints, common: Ints, pad: float
) -> Floats:
    """Return the sum of the boxes' overlaps over the `common` frames from `low` on, `[P]`."""
    pair = np.repeat(np.arange(len(first)), common)
    step = np.arange(len(pair)) - np.repeat(np.cumsum(common) - common, common)
    rows_a = (a.ends[first] + low - a.start[first])[pair] + step
    rows_b = (b.ends[second] + low - b.start[second])[pair] + step
    overlap = box_overlaps(a.boxes[rows_a], b.boxes[rows_b], pad)
    return np.bincount(pair, overlap, len(first)).astype(float, copy=False)


def suppress_tubes(tubes: Tubes, threshold: float = 0.3, pad: float = 1.0) -> Ints:
    """Return the tubes that survive suppression within each video and class, as indices `[M]`.

    They are ordered by video, label and descending score; of equal scores the first comes first.
    """
    order = np.lexsort((-tubes.score, tubes.label, tubes.video))
    labels = int(tubes.label.max(initial=0)) + 1
    groups = (tubes.video * labels + tubes.label)[order]

    def overlaps(first: Ints, second: Ints) -> Floats:
        return tube_overlaps(tubes, order[first], tubes, order[second], pad)

    return order[suppress(groups, overlaps, threshold)]


def video_ap(
    tubes: Tubes,
    truth: Tubes,
    classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
    protocol: Protocol = ACT,
) -> Floats:
    """Return the average precision `[thresholds, classes]`; nan for classes without ground truth.

    Args:
        tubes: After `suppress_tubes`; equal scores are taken in their order.
    """
    order = np.argsort(-tubes.score, kind="stable")
    labels = max(classes, int(tubes.label.max(initial=0)) + 1)
    groups = (tubes.video * labels + tubes.label)[order]
    first, second = pair_up(groups, truth.video * labels + truth.label)
    overlap = tube_overlaps(
        tubes,
        order[first],
        truth,
        second,
        protocol.pad,
        least_common_frames=protocol.least_common_frames,
    )
    pairs = Pairs(first, second, overlap)
    positives = np.bincount(truth.label, minlength=classes)
    label = tubes.label[order]
    result = np.empty((len(thresholds), classes))
    for row, threshold in enumerate(thresholds):
        hits = match(pairs, groups, len(truth), threshold, protocol.strict, protocol.remaining) >= 0
        for c in range(classes):
            result[row, c] = average_precision(
                hits[label == c], positives[c], protocol.interpolated
            )
    return result


def mean_ap(ap: Floats) -> float:
    """Return the mean over the classes that have ground truth, of `[classes]`; nan without any."""
    known = ap[~np.isnan(ap)]
    return float(known.mean()) if len(known) else float("nan")
