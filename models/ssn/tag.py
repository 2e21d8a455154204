"""TAG: temporal actionness grouping, from a curve of actionness to proposals (SSN, section 5).

A tick is one scored snippet. Where the curve exceeds a level g, ticks form regions; from every
region, forward and backward, further regions are absorbed while the share of ticks below the level
stays at most q. All levels and tolerances give proposals, of which greedy suppression keeps the
best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    with np.errstate(over="ignore"):  # an exponential of infinity is a probability of 0
        probability = 1.0 / (1.0 + np.exp(scores[:, 0] - scores[:, 1]))
    return smooth(probability, sigma)


def smooth(values: Floats, sigma: float) -> Floats:
    """Return `values` `[T]` under a Gaussian of `sigma` ticks, cut at 4 sigma, ends mirrored."""
    radius = int(4 * sigma + 0.5)
    if radius == 0 or not len(values):
        return values
    if len(values) < radius:
        padded = np.pad(values, radius, mode="symmetric")
    else:  # what NumPy's `pad` does, in a tenth of its time
        padded = np.concatenate([values[radius - 1 :: -1], values, values[: -radius - 1 : -1]])
    return np.convolve(padded, _gaussian(sigma, radius), mode="valid")


@cache
def _gaussian(sigma: float, radius: int) -> Floats:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


class _Regions(NamedTuple):
    """Runs of ticks above their level, of all levels, level by level: `[R]` each.

    start, end: the first tick and one past the last. level: its number. below: ticks below the
    level before `start`; differences within a level count.
    """

    start: Ints
    end: Ints
    level: Ints
    below: Ints


def _regions(above: NDArray[np.bool_]) -> _Regions:
    """The regions of levels `[L, T]`."""
    levels, ticks = above.shape
    padded = np.zeros((levels, ticks + 2), bool)  # a level's last run ends before the next begins
    padded[:, 1:-1] = above
    flat = padded.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    level, places = np.divmod(edges, ticks + 2)
    start, end = places[::2], places[1::2]
    length = end - start
    return _Regions(start, end, level[::2], start - (np.cumsum(length) - length))


class _Groups(NamedTuple):
    """Groups, `[Q, 2, R]` each: of a tolerance, forward and backward, of a seed.

    start, end: in ticks. first, last: the ticks, `last` not included, whose scores are summed.
    """

    start: Ints
    end: Ints
    first: Ints
    last: Ints

    def scores(self, sums: Floats) -> Floats:
        """The sums of scores `[2 * Q * R]`; sums: `[T + 1]`, before each tick."""
        return (sums[self.last] - sums[self.first]).ravel()


MOST_PAIRED = 256
"""Regions whose pairs are looked at together; more would be slower, for want of cache."""


def group(
    above: NDArray[np.bool_], scores: Floats, tolerances: Sequence[float], release_sums: bool = True
) -> Floats:
    """Return the groups of one level `[T]` or of several `[L, T]`, rows `(start, end, score)`.

    above: whether each tick exceeds the level. scores: `[T]`, summed up to a group's score. Ends
    are a tick past the last one, and one more, as in the release. Of R regions of a level each
    tolerance gives R forward groups, then R backward ones, from the last region to the first.
    """
    sums = _prefix_sums(scores)
    groups = [
        np.stack([g.start.ravel(), g.end.ravel(), g.scores(sums)], axis=1)
        for g in _all_groups(np.atleast_2d(above), tolerances, release_sums)
    ]
    return np.concatenate([np.zeros((0, 3)), *groups])


def _prefix_sums(values: Floats) -> Floats:
    """Sums `[T + 1]` of the values before each tick, and of all."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _all_groups(
    above: NDArray[np.bool_], tolerances: Sequence[float], release_sums: bool
) -> list[_Groups]:
    """The groups of levels `[L, T]`, of some levels at a time."""
    tolerance = np.array(tolerances, float)[:, None, None]
    return [
        _paired(part, above.shape[1], tolerance, release_sums) for part in _batches(_regions(above))
    ]


def _batches(regions: _Regions) -> Iterator[_Regions]:
    """Regions of whole levels, at most `MOST_PAIRED` where one level alone has no more."""
    count = len(regions.start)
    if count <= MOST_PAIRED:
        if count:
            yield regions
        return
    begin, end = 0, 0
    for bound in [*np.flatnonzero(np.diff(regions.level)) + 1, count]:
        if end > begin and bound - begin > MOST_PAIRED:
            yield _Regions(*(values[begin:end] for values in regions))
            begin = end
        end = int(bound)
    yield _Regions(*(values[begin:] for values in regions))


def _paired(regions: _Regions, ticks: int, tolerance: Floats, release_sums: bool) -> _Groups:
    """The groups of some levels. Rows of the matrices are seeds, columns the regions they meet.

    The backward pass is the forward pass from the other end, with regions in reversed order.
    """
    count = len(regions.start)
    turned = _Regions(*(values[::-1] for values in regions))
    from_start = np.array([regions.below, -turned.below])  # [2, R]
    # Refused are columns with more ticks below the level than the tolerance allows. What lies
    # behind the seed never is; the last column, which stands for the end, always is.
    zeros = np.full((2, count, count + 1), np.inf)
    zeros[:, :, :count] = from_start[:, None, :] - from_start[:, :, None]
    zeros[1] += (turned.end < ticks)[:, None] - 1
    seed = np.array([regions.start, -turned.end])
    distance = np.zeros((2, count, count + 1))
    distance[:, :, :count] = seed[:, None, :] - seed[:, :, None]
    distance[:, _behind(count)] = np.inf
    stop = (zeros[:, None] > tolerance * distance[:, None]).argmax(axis=3)  # [2, Q, R]
    level = np.array([regions.level, -turned.level])
    for direction in (0, 1):  # a seed does not leave its level
        ends = np.searchsorted(level[direction], level[direction], "right")
        np.minimum(stop[direction], ends, out=stop[direction])
    shape = (stop.shape[1], 2, count)
    start, end = np.empty(shape, np.int64), np.empty(shape, np.int64)
    start[:, 0], end[:, 0] = regions.start, regions.end[stop[0] - 1]
    start[:, 1], end[:, 1] = turned.start[stop[1] - 1], turned.end
    end += 1
    last = np.minimum(end, ticks)
    first = start
    if release_sums:
        whole = stop[1] == ends  # everything before the seed was absorbed
        first = start.copy()
        first[:, 1][whole] = 0
        last[:, 1] = np.minimum(end[:, 1] + whole, ticks)
    return _Groups(start, end, first, last)


@lru_cache(maxsize=64)
def _behind(count: int) -> NDArray[np.bool_]:
    """Which columns `[R, R + 1]` are the seed of the row, or before it."""
    return np.tri(count, count + 1, dtype=bool)


def propose(scores: Floats, rules: TagRules | None = None) -> Floats:
    """Return proposals `[P, 3]`: start and end in ticks, and the sum of raw action scores.

    scores: `[T, 2]`, raw scores of background and action. Proposals come by descending score; an
    end may lie a tick past the curve.
    """
    rules = rules or TagRules()
    if not len(scores):
        return np.zeros((0, 3))
    probability = action_probability(scores, rules.sigma)
    above = probability > np.array(rules.levels)[:, None]
    sums = _prefix_sums(scores[:, 1])
    groups = [
        (g.start.ravel() * (len(scores) + 2) + g.end.ravel(), g.scores(sums))
        for g in _all_groups(above, rules.tolerances, rules.release_sums)
    ]
    if not groups:
        return np.zeros((0, 3))
    places = np.concatenate([key for key, _ in groups])
    values = np.concatenate([value for _, value in groups])
    # Most groups occur many times; of equal ones suppression would keep the best.
    order = places.argsort(kind="stable")
    places = places[order]
    new = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
    best = np.maximum.reduceat(values[order], new)
    by_score = (-best).argsort(kind="stable")
    start, end = np.divmod(places[new[by_score]], len(scores) + 2)
    proposals = np.empty((len(start), 3))
    proposals[:, 0], proposals[:, 1], proposals[:, 2] = start, end, best[by_score]
    return proposals[_survivors(proposals[:, 0], proposals[:, 1], rules.nms_threshold)]


BLOCK = 64
"""Proposals that are compared with one another together: the bits of a number."""


def _survivors(start: Floats, end: Floats, threshold: float) -> Ints:
    """Greedy suppression of proposals by descending score, on lengths end - start + 1.

    Block by block: first by what has survived already, then among themselves. A proposal survives
    an overlap of exactly `threshold`.
    """
    kept = np.zeros(0, np.int64)
    for begin in range(0, len(start), BLOCK):
        block = np.arange(begin, min(begin + BLOCK, len(start)))
        if len(kept):
            block = block[~_overlapping(start, end, block, kept, threshold).any(axis=1)]
        # Bit j of row i: whether proposal i suppresses j.
        rows = np.zeros((len(block), BLOCK), bool)
        rows[:, : len(block)] = _overlapping(start, end, block, block, threshold)
        gone, alive = 0, []
        for place, row in enumerate(np.packbits(rows, bitorder="little").view("<u8").tolist()):
            if not gone >> place & 1:
                alive.append(place)
                gone |= row
        kept = np.concatenate([kept, block[alive]])
    return kept


def _overlapping(
    start: Floats, end: Floats, rows: Ints, columns: Ints, threshold: float
) -> NDArray[np.bool_]:
    """Whether proposals overlap by more than `threshold`, `[rows, columns]`."""
    left, right = start[rows][:, None], end[rows][:, None] + 1
    other_left, other_right = start[columns], end[columns] + 1
    common = np.minimum(right, other_right) - np.maximum(left, other_left)
    return common > threshold * ((right - left) + (other_right - other_left) - common)


def in_seconds(proposals: Floats, ticks: int, duration: float) -> Floats:
    """Return `proposals` with start and end in seconds, of a video of `duration` [s]."""
    scaled = proposals.copy()
    scaled[:, :2] *= duration / ticks
    return scaled
