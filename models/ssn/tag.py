"""TAG: temporal actionness grouping, from a curve of actionness to proposals (SSN, section 5).

A tick is one scored snippet. Consecutive ticks above a level g form a region. A group starts from
each region, once forward and once backward, and absorbs further regions while at most the share q
of its ticks (the tolerance) lies below the level. The groups of all levels and tolerances are the
proposals; greedy suppression keeps the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TagRules:
    """Levels, tolerances and suppression; the defaults are the public release's.

    Attributes:
        levels: Of the smoothed action probability.
        tolerances: Share of ticks below the level that a group may have.
        sigma: Of the smoothing, in ticks; 0: none.
        nms_threshold: Overlap above which the worse of two proposals goes, on lengths end - start +
            1.
        release_sums: Score a group that absorbed everything before its seed by the sum from the
            curve's start to a tick past its end, as the release does, and not from the group's own
            start.
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

    Raises:
        ValueError: For no curves, an empty one, another number of weights, and weights that are
            negative, not finite or all 0.
    """
    weights = [1.0] * len(curves) if weights is None else weights
    if not curves or len(weights) != len(curves):
        raise ValueError(f"expected a weight for each of 1 or more curves, got {len(weights)}")
    if not (np.isfinite(weights).all() and min(weights) >= 0 and sum(weights) > 0):
        raise ValueError(f"weights of curves: expected 0 or more, got {list(weights)}")
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

    Attributes:
        start, end: The first tick and one past the last.
        level: Its number.
        below: Ticks below the level before `start`; differences within a level count.
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
    """Groups.

    Attributes:
        start, end: In ticks.
        first, last: The ticks whose scores are summed, `last` not.
    """

    start: Ints
    end: Ints
    first: Ints
    last: Ints


MOST_PAIRED = 1 << 13
"""Pairs of regions that are looked at together; more would be slower, for want of cache."""


def group(
    above: NDArray[np.bool_], scores: Floats, tolerances: Sequence[float], release_sums: bool = True
) -> Floats:
    """Return the groups of one level `[T]`, rows `(start, end, score)`.

    Args:
        above: Whether each tick exceeds the level.
        scores: `[T]`, summed up to a group's score. Ends are a tick past the last one, and one
            more, as in the release. Of R regions each tolerance gives R forward groups, then R
            backward ones, from the last region to the first.
    """
    sums = _prefix_sums(scores)
    rows = [np.zeros((0, 3))]
    for seeds in _seeds(above[None], np.sort(tolerances)):
        for tolerance in np.searchsorted(np.sort(tolerances), tolerances):
            absorbed = (seeds.refusing[:, 1:] <= tolerance).sum(axis=1)  # [S]
            found = seeds.groups(np.arange(len(absorbed)), absorbed, release_sums)
            values = sums[found.last] - sums[found.first]
            rows.append(np.stack([found.start, found.end, values], axis=1))
    return np.concatenate(rows)


def _prefix_sums(values: Floats) -> Floats:
    """Sums `[T + 1]` of the values before each tick, and of all."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _batches(regions: _Regions) -> Iterator[tuple[_Regions, Ints]]:
    """Yield regions of whole levels, and how many each level has: few pairs at a time."""
    level = regions.level
    if not len(level):
        return
    bounds = np.flatnonzero(np.concatenate([[True], level[1:] != level[:-1], [True]]))
    sizes = bounds[1:] - bounds[:-1]
    if len(level) * sizes.max() <= MOST_PAIRED:
        yield regions, sizes
        return
    for begin, end, size in zip(bounds[:-1], bounds[1:], sizes, strict=True):
        yield _Regions(*(values[begin:end] for values in regions)), np.array([size])


class _Seeds(NamedTuple):
    """Regions that groups grow from: R forward ones, then R backward ones from the last on, S = 2R.

    The backward pass is the forward pass over the regions in reversed order.

    Attributes:
        near, far: `[S]`, the edge that a seed's group begins with, and the one that a group up to
            this region ends with.
        level_end: `[S]`, one past the last seed of the level.
        refusing: `[S, W + 1]`, how many of the ascending tolerances refuse the group that has
            absorbed 0, 1, 2, ...
        regions: All of them, where the level ends.
        ticks: T.
    """

    near: Ints
    far: Ints
    level_end: Ints
    refusing: Ints
    ticks: int

    def groups(self, seeds: Ints, absorbed: Ints, release_sums: bool) -> _Groups:
        """The groups `[N]` of seeds that have absorbed so many regions."""
        reached = seeds + absorbed
        near, far = self.near[seeds], self.far[reached]
        backward = seeds >= len(self.near) // 2
        start = np.where(backward, far, near)
        end = np.where(backward, near, far) + 1
        last = np.minimum(end, self.ticks)
        if not release_sums:
            return _Groups(start, end, start, last)
        # Backward groups that absorbed everything before their seed.
        whole = backward & (reached + 1 == self.level_end[seeds])
        return _Groups(start, end, start * ~whole, np.minimum(end + whole, self.ticks))


def _seeds(above: NDArray[np.bool_], tolerances: Floats) -> Iterator[_Seeds]:
    """Yield the seeds of levels `[L, T]`, some levels at a time.

    Args:
        tolerances: Ascending.
    """
    ticks = above.shape[1]
    for (start, end, _, below), sizes in _batches(_regions(above)):
        count, widest = len(start), int(sizes.max())
        near = np.concatenate([start, end[::-1]])
        far = np.concatenate([end, start[::-1]])
        sizes = np.concatenate([sizes, sizes[::-1]])
        level_end = np.cumsum(sizes).repeat(sizes)
        place = np.concatenate([start, -end[::-1]])  # ascending, as the regions are met
        below = np.concatenate([below, -below[::-1]])
        own = below.copy()
        own[count:] += end[::-1] == ticks  # the tick after a seed is below, if there is one
        seed = np.arange(2 * count)
        met = seed[:, None] + np.arange(1, widest + 1)  # [S, W]
        beyond = met >= level_end[:, None]
        np.minimum(met, 2 * count - 1, out=met)
        distance = place[met] - place[:, None]
        zeros = below[met] - own[:, None]
        refused = (zeros > tolerances[:, None, None] * distance).sum(axis=0)  # [S, W]
        refused[beyond] = len(tolerances)  # a seed does not leave its level
        refusing = np.zeros((2 * count, widest + 1), np.int64)
        np.maximum.accumulate(refused, axis=1, out=refusing[:, 1:])  # nor does it pass a refusal
        yield _Seeds(near, far, level_end, refusing, ticks)


def propose(scores: Floats, rules: TagRules | None = None) -> Floats:
    """Return proposals `[P, 3]`: start and end in ticks, and the sum of raw action scores.

    Args:
        scores: `[T, 2]`, raw scores of background and action. Proposals come by descending score;
            an end may lie a tick past the curve.
    """
    rules = rules or TagRules()
    if not len(scores):
        return np.zeros((0, 3))
    probability = action_probability(scores, rules.sigma)
    above = probability > np.array(rules.levels)[:, None]
    sums = _prefix_sums(scores[:, 1])
    keys, sizes = [np.zeros(0, np.int64)], [np.zeros(0)]
    for seeds in _seeds(above, np.sort(rules.tolerances)):
        # Most tolerances stop at the same regions: only those are looked at at which one stops.
        stops = seeds.refusing[:, 1:] > seeds.refusing[:, :-1]
        grown, absorbed = stops.nonzero()
        found = seeds.groups(grown, absorbed, rules.release_sums)
        keys.append(found.start * (len(scores) + 2) + found.end)
        sizes.append(sums[found.last] - sums[found.first])
    places, values = np.concatenate(keys), np.concatenate(sizes)
    if not len(places):
        return np.zeros((0, 3))
    # Groups of several levels are equal; suppression would keep the best of them.
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
        if begin:
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
