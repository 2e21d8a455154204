"""TAG: temporal actionness grouping, from a curve of actionness to proposals (SSN, section 5).

A tick is one scored snippet. Where the curve exceeds a level g, ticks form regions; from every
region, forward and backward, further regions are absorbed while the share of ticks below the level
stays at most q. All levels and tolerances give proposals, of which greedy suppression keeps the
best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from utils.geometry.segments import suppress_segments

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TagRules:
    """Levels, tolerances and suppression; the defaults are the public release's.

    levels: of the smoothed action probability. tolerances: share of ticks below the level that a
    group may have. sigma: of the smoothing, in ticks; 0: none. nms_threshold: overlap above which
    the worse of two proposals goes, on lengths end - start + 1. release_sums: score a group that
    absorbed everything before its seed by the sum from the curve's start to a tick past its end, as
    the release does, and not from the group's own start.
    """

    levels: tuple[float, ...] = (
        0.01, 0.05, 0.1, 0.15, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95,
    )  # fmt: skip
    tolerances: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    sigma: float = 3.0
    nms_threshold: float = 0.9
    release_sums: bool = True


_STEPS = tuple(round(0.05 * i, 2) for i in range(1, 20))
PRESETS = {
    "release": TagRules(),
    # Both thresholds in steps of 0.05 over (0, 1), suppression at 0.95 (SSN, section 5).
    "paper": TagRules(_STEPS, _STEPS, nms_threshold=0.95, release_sums=False),
}


def merge_curves(curves: Sequence[Floats], weights: Sequence[float] | None = None) -> Floats:
    """Return the weighted sum of the raw scores `[T_i, 2]` of several streams, `[T, 2]`.

    A later stream that is shorter cuts the sum; for a longer one the sum is stretched to its length
    by repeating ticks, as in the release.

    Raises `ValueError` for no curves, an empty one, or another number of weights.
    """
    weights = [1.0] * len(curves) if weights is None else weights
    if not curves or len(weights) != len(curves):
        raise ValueError(f"expected a weight for each of 1 or more curves, got {len(weights)}")
    if any(len(curve) == 0 for curve in curves):
        raise ValueError("expected curves of 1 tick or more, got an empty one")
    total = weights[0] * curves[0]
    for curve, weight in zip(curves[1:], weights[1:], strict=True):
        if len(curve) <= len(total):
            total = total[: len(curve)]
        else:
            total = total[(np.arange(len(curve)) * len(total)) // len(curve)]
        total = total + weight * curve
    return total


def action_probability(scores: Floats, sigma: float) -> Floats:
    """Return the smoothed softmax probability of action `[T]` of scores `[T, 2]`, action last."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    probability = shifted[:, 1] / shifted.sum(axis=1)
    return smooth(probability, sigma)


def smooth(values: Floats, sigma: float) -> Floats:
    """Return `values` `[T]` under a Gaussian of `sigma` ticks, cut at 4 sigma, ends mirrored."""
    radius = int(4 * sigma + 0.5)
    if radius == 0 or not len(values):
        return values
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    padded = np.pad(values, radius, mode="symmetric")
    return np.convolve(padded, weights / weights.sum(), mode="valid")


def group(
    above: NDArray[np.bool_], scores: Floats, tolerances: Sequence[float], release_sums: bool = True
) -> Floats:
    """Return the groups of one level, rows `(start, end, score)`.

    above: `[T]`, whether each tick exceeds the level. scores: `[T]`, summed up to a group's score.
    Ends are a tick past the last one, and one more, as in the release. Of R regions each tolerance
    gives R forward groups, then R backward ones, from the last region to the first.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    start, end = edges[::2], edges[1::2]
    if not len(start):
        return np.zeros((0, 3))
    ticks = len(above)
    below = np.concatenate([[0], np.cumsum(~above)])
    sums = np.concatenate([[0.0], np.cumsum(scores)])
    tolerance = np.asarray(tolerances, float)[:, None, None]
    # Seeds are rows, the regions that they meet are columns; a seed stops at its first refusal.
    zeros = below[start][None, :] - below[start][:, None]
    refused = zeros > tolerance * (start[None, :] - start[:, None])
    refused &= np.triu(np.ones_like(zeros, bool), 1)
    last = np.where(refused.any(axis=2), refused.argmax(axis=2) - 1, len(start) - 1)
    forward_end = end[last] + 1
    forward_start = np.broadcast_to(start, forward_end.shape)
    forward_score = sums[np.minimum(forward_end, ticks)] - sums[forward_start]
    # Backward, the tick at a seed's end counts as below the level, where the video has it.
    past = np.minimum(end + 1, ticks)
    zeros = below[past][:, None] - below[past][None, :]
    refused = zeros > tolerance * (end[:, None] - end[None, :])
    refused &= np.tril(np.ones_like(zeros, bool), -1)
    first = np.where(refused.any(axis=2), len(start) - refused[:, :, ::-1].argmax(axis=2), 0)
    whole = ~refused.any(axis=2)
    backward_start = start[first]
    backward_end = np.broadcast_to(end + 1, backward_start.shape)
    sum_start = np.where(whole & release_sums, 0, backward_start)
    sum_end = np.minimum(backward_end + (whole & release_sums), ticks)
    backward_score = sums[sum_end] - sums[sum_start]
    forward = np.stack([forward_start, forward_end, forward_score], axis=2)
    backward = np.stack([backward_start, backward_end, backward_score], axis=2)[:, ::-1]
    return np.concatenate([forward, backward], axis=1).reshape(-1, 3)


def propose(scores: Floats, rules: TagRules | None = None) -> Floats:
    """Return proposals `[P, 3]`: start and end in ticks, and the sum of raw action scores.

    scores: `[T, 2]`, raw scores of background and action. Proposals come by descending score; an
    end may lie a tick past the curve.
    """
    rules = rules or TagRules()
    if not len(scores):
        return np.zeros((0, 3))
    probability = action_probability(scores, rules.sigma)
    groups = np.concatenate(
        [
            group(probability > level, scores[:, 1], rules.tolerances, rules.release_sums)
            for level in rules.levels
        ]
    )
    # Most groups occur many times; of equal ones suppression would keep the best.
    order = np.lexsort((-groups[:, 2], groups[:, 1], groups[:, 0]))
    groups = groups[order]
    new = np.ones(len(groups), bool)
    new[1:] = (groups[1:, :2] != groups[:-1, :2]).any(axis=1)
    groups = groups[new]
    return groups[suppress_segments(groups[:, :2], groups[:, 2], rules.nms_threshold, pad=1.0)]


def in_seconds(proposals: Floats, ticks: int, duration: float) -> Floats:
    """Return `proposals` with start and end in seconds, of a video of `duration` [s]."""
    scaled = proposals.copy()
    scaled[:, :2] *= duration / ticks
    return scaled
