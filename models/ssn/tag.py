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
    background = np.minimum(scores[:, 0] - scores[:, 1], 700.0)  # whose exponential is finite
    return smooth(1.0 / (1.0 + np.exp(background)), sigma)


def smooth(values: Floats, sigma: float) -> Floats:
    """Return `values` `[T]` under a Gaussian of `sigma` ticks, cut at 4 sigma, ends mirrored."""
    radius = int(4 * sigma + 0.5)
    if radius == 0 or not len(values):
        return values
    if len(values) < radius:
        padded = np.pad(values, radius, mode="symmetric")
    else:  # what NumPy's `pad` does, in a tenth of its time
        padded = np.concatenate([values[radius - 1 :: -1], values, values[: -radius - 1 : -1]])
    return np.correlate(padded, _gaussian(sigma, radius), mode="valid")


@cache
def _gaussian(sigma: float, radius: int) -> Floats:
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


APART = 1 << 40
"""So many ticks below its level no tolerance lets pass: a group stays within its level."""


class _Regions(NamedTuple):
    """Runs of ticks above their level, `[R]` each but `sizes`, as the two passes meet them.

    First those of all levels, level by level, then those of the curve that runs backward: a
    backward pass is the forward pass over that one.

    Attributes:
        start: The first tick, as the pass counts ticks.
        near, far: The edge that the pass meets first and the other, as the curve counts ticks.
        below: Ticks below the level before `start`, and `APART` more for each level before; only
            differences count.
        backward: Whether the curve runs backward.
        sizes: How many regions each level has, in each direction.
    """

    start: Ints
    near: Ints
    far: Ints
    below: Ints
    backward: NDArray[np.bool_]
    sizes: Ints


def _regions(above: NDArray[np.bool_]) -> _Regions:
    """The regions of levels `[L, T]`."""
    levels, ticks = above.shape
    # A level's last run ends before the next begins.
    padded = np.zeros((2, levels, ticks + 2), bool)
    padded[0, :, 1:-1] = above
    padded[1, :, 1:-1] = above[:, ::-1]
    flat = padded.reshape(-1)
    edges = (flat[1:] != flat[:-1]).nonzero()[0]
    level, places = np.divmod(edges, ticks + 2)
    backward = level >= levels
    edges = np.where(backward, ticks - places, places)
    start, level = places[::2], level[::2]
    length = places[1::2] - start
    below = start - length.cumsum()
    below += length
    below += level * APART
    sizes = np.bincount(level, minlength=2 * levels)
    return _Regions(start, edges[::2], edges[1::2], below, backward[::2], sizes)


class _Groups(NamedTuple):
    """Groups.

    Attributes:
        start, end: In ticks.
        first, last: The ticks whose scores are summed, `last` not; it may lie two past the curve.
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
    ascending = np.sort(tolerances)
    batches = list(_seeds(above[None], ascending))
    rows = [np.zeros((0, 3))]
    for tolerance in np.searchsorted(ascending, tolerances):
        for seeds in batches:
            absorbed = (seeds.refusing[:, 1:] <= tolerance).sum(axis=1)  # [S]
            found = seeds.groups(np.arange(len(absorbed)), absorbed, release_sums)
            values = sums[found.last] - sums[found.first]
            rows.append(np.stack([found.start, found.end, values], axis=1))
    return np.concatenate(rows)


def _prefix_sums(values: Floats) -> Floats:
    """Sums `[T + 3]` of the values `[T]` before each tick, and before three ticks past the end."""
    sums = np.zeros(len(values) + 3)
    np.add.accumulate(values, out=sums[1:-2])
    sums[-2:] = sums[-3]
    return sums


def _batches(regions: _Regions) -> Iterator[_Regions]:
    """Yield the regions of some levels at a time: few pairs together."""
    count, sizes = len(regions.start), regions.sizes
    if not count:
        return
    if count * max(sizes.tolist()) <= MOST_PAIRED:
        yield regions
        return
    ends = sizes.cumsum()
    for first, last in zip(ends - sizes, ends, strict=True):
        if first < last:
            own = slice(first, last)
            yield _Regions(
                start=regions.start[own],
                near=regions.near[own],
                far=regions.far[own],
                below=regions.below[own],
                backward=regions.backward[own],
                sizes=np.array([last - first]),
            )


class _Seeds(NamedTuple):
    """Regions that groups grow from, and how far.

    Attributes:
        near, far: `[S]`, of `_Regions`.
        last_backward: `[S]`, whether the region is the last that a backward pass meets.
        refusing: `[S, W + 1]`, how many of the ascending tolerances refuse the group that has
            absorbed 0, 1, 2, ... regions; all of them, where the level ends.
    """

    near: Ints
    far: Ints
    last_backward: NDArray[np.bool_]
    refusing: Ints

    def groups(self, seeds: Ints, absorbed: Ints, release_sums: bool) -> _Groups:
        """The groups `[N]` of seeds that have absorbed so many regions."""
        reached = seeds + absorbed
        near, far = self.near[seeds], self.far[reached]
        start, end = np.minimum(near, far), np.maximum(near, far)
        end += 1
        if not release_sums:
            return _Groups(start, end, start, end)
        # Backward groups that absorbed everything before their seed.
        whole = self.last_backward[reached]
        return _Groups(start, end, start * ~whole, end + whole)


def _windows(values: Floats, width: int) -> Floats:
    """Every `width` successive values of an array, `[len(values) - width + 1, width]`, a view."""
    step = values.itemsize
    return np.ndarray((len(values) - width + 1, width), values.dtype, values, 0, (step, step))


def _seeds(above: NDArray[np.bool_], tolerances: Floats) -> Iterator[_Seeds]:
    """Yield the seeds of levels `[L, T]`, some levels at a time.

    Args:
        tolerances: Ascending.
    """
    levels, ticks = above.shape
    for start, near, far, before, backward, sizes in _batches(_regions(above)):
        count, widest = len(start), max(sizes.tolist())
        place, below = np.zeros(count + widest), np.empty(count + widest)
        place[:count], below[:count] = start, before
        below[count:] = 2 * APART * (levels + 1)  # beyond the last region nothing is
        # Backward, the tick after a seed is below, if there is one, in the place of one before it.
        own = before + (backward & (near == ticks))
        # What each seed meets, itself first, [S, W + 1].
        distance = _windows(place, widest + 1) - place[:count, None]
        zeros = _windows(below, widest + 1) - own[:, None]
        refuses = zeros > tolerances[:, None, None] * distance
        refused = refuses.view(np.uint8).sum(axis=0, dtype=np.uint16)  # faster than of booleans
        refusing = np.maximum.accumulate(refused, axis=1)  # no group passes a refusal
        yield _Seeds(near, far, backward & (zeros[:, 1] > APART // 2), refusing)


def propose(scores: Floats, rules: TagRules | None = None) -> Floats:
    """Return proposals `[P, 3]`: start and end in ticks, and the sum of raw action scores.

    Args:
        scores: `[T, 2]`, raw scores of background and action. Proposals come by descending score;
            an end may lie a tick past the curve.
    """
    rules = rules or PRESETS["release"]
    if not len(scores):
        return np.zeros((0, 3))
    probability = action_probability(scores, rules.sigma)
    above = probability > np.array(rules.levels)[:, None]
    sums = _prefix_sums(scores[:, 1])
    keys, sizes = [], []
    for seeds in _seeds(above, np.array(sorted(rules.tolerances))):
        # Most tolerances stop at the same regions: only those are looked at at which one stops.
        stops = seeds.refusing[:, 1:] > seeds.refusing[:, :-1]
        grown, absorbed = stops.nonzero()
        found = seeds.groups(grown, absorbed, rules.release_sums)
        keys.append(found.start * (len(scores) + 2) + found.end)
        sizes.append(sums[found.last] - sums[found.first])
    if not keys:
        return np.zeros((0, 3))
    places, values = np.concatenate(keys), np.concatenate(sizes)
    # Groups of several levels are equal; suppression would keep the best of them.
    order = places.argsort(kind="stable")
    places = places[order]
    first = np.ones(len(places), bool)  # of its equals
    np.not_equal(places[1:], places[:-1], out=first[1:])
    new = first.nonzero()[0]
    best = np.maximum.reduceat(values[order], new)
    by_score = (-best).argsort(kind="stable")
    start, end = np.divmod(places[new[by_score]], len(scores) + 2)
    kept = _survivors(start, end, rules.nms_threshold)
    proposals = np.empty((len(kept), 3))
    proposals[:, 0], proposals[:, 1] = start[kept], end[kept]
    proposals[:, 2] = best[by_score[kept]]
    return proposals


BLOCK = 64
"""Proposals that are compared with one another together: the bits of a number."""


def _survivors(start: Ints, end: Ints, threshold: float) -> Ints:
    """Greedy suppression of proposals by descending score, on lengths end - start + 1.

    Block by block: first by what has survived already, then among themselves. A proposal survives
    an overlap of exactly `threshold`.
    """
    starts, ends = start.astype(np.float64), end.astype(np.float64)
    ends += 1
    kept: list[int] = []
    for begin in range(0, len(start), BLOCK):
        places = list(range(begin, min(begin + BLOCK, len(start))))
        own = starts[begin : begin + BLOCK], ends[begin : begin + BLOCK]
        if begin:
            gone_already = _overlapping(own, (starts[kept], ends[kept]), threshold).any(axis=1)
            places = (begin + (~gone_already).nonzero()[0]).tolist()
            own = starts[places], ends[places]
        # Bit j of row i: whether proposal i suppresses j.
        rows = np.zeros((len(own[0]), BLOCK), bool)
        rows[:, : len(own[0])] = _overlapping(own, own, threshold)
        gone, bit = 0, 1
        bits = np.packbits(rows, bitorder="little").view("<u8").tolist()
        for place, row in zip(places, bits, strict=True):
            if not gone & bit:
                kept.append(place)
                gone |= row
            bit += bit
    return np.array(kept, np.int64)


_Spans = tuple[Floats, Floats]
"""Starts, and ends, one past the last tick, `[N]` each."""


def _overlapping(rows: _Spans, columns: _Spans, threshold: float) -> NDArray[np.bool_]:
    """Whether spans overlap by more than `threshold`, `[R, C]`."""
    common = np.minimum(rows[1][:, None], columns[1])
    common -= np.maximum(rows[0][:, None], columns[0])
    union = (rows[1] - rows[0])[:, None] + (columns[1] - columns[0])
    union -= common
    union *= threshold
    return common > union


def in_seconds(proposals: Floats, ticks: int, duration: float) -> Floats:
    """Return `proposals` with start and end in seconds, of a video of `duration` [s]."""
    scaled = proposals.copy()
    scaled[:, :2] *= duration / ticks
    return scaled
