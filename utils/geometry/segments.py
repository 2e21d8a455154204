"""Segments of time: overlap, suppression, regression. A segment is `(start, end)`, any unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from external.matching import Floats, Ints, suppress


def segment_iou(a: Floats, b: Floats, pad: float = 0.0) -> Floats:
    """Return the intersection over union of segments `a` and `b` `[..., 2]`, `[...]`.

    Args:
        pad: 1 where the last tick belongs to a segment, so that its length is end - start + 1.
    """
    common = np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]) + pad
    common = np.maximum(common, 0.0)
    total = (a[..., 1] - a[..., 0] + pad) + (b[..., 1] - b[..., 0] + pad) - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)


def suppress_segments(
    segments: Floats,
    scores: Floats,
    threshold: float,
    pad: float = 0.0,
    groups: NDArray | None = None,
) -> Ints:
    """Return the segments `[N, 2]` that survive greedy suppression, as indices.

    Args:
        threshold: An overlap of exactly this much survives.
        groups: `[N]`; only segments of equal group suppress each other. The result is in descending
            order of score within each group, groups ascending; of equal scores the first comes
            first.
    """
    labels = np.zeros(len(scores), np.int64) if groups is None else groups
    order = np.lexsort((-scores, labels))
    ordered = np.asarray(segments, float).reshape(-1, 2)[order]

    def overlaps(first: Ints, second: Ints) -> Floats:
        return segment_iou(ordered[first], ordered[second], pad)

    return order[suppress(labels[order], overlaps, threshold)]


def regress_segments(segments: Floats, regression: Floats) -> Floats:
    """Return segments `[N, 2]` (fractions of the video) moved by `regression` `[N, 2]`.

    The centre moves by `regression[:, 0]` lengths, the length grows by the factor
    `exp(regression[:, 1])`; the result is limited to [0, 1].
    """
    length = segments[:, 1] - segments[:, 0]
    centre = (segments[:, 0] + segments[:, 1]) / 2 + length * regression[:, 0]
    half = length * np.exp(regression[:, 1]) / 2
    return np.clip(np.stack([centre - half, centre + half], axis=1), 0.0, 1.0)
