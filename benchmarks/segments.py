"""SSN without its network: grouping of actionness, and pooling of proposals, against plain loops.

    python -m benchmarks.segments [--ticks 80 3600] [--proposals 1000] [--repeats 20]

3600 ticks are ten minutes at 30 frames a second, scored at every fifth frame. The yardsticks are
the rules as loops over ticks, regions and proposals; their results must be the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.report import Row, main, timed
from models.ssn.stpp import Pyramid, pool_ticks
from models.ssn.tag import TagRules, action_probability, propose, smooth

Floats = NDArray[np.float64]
GOAL = "20"
SLOW_TICKS = 1000
"""A curve of more ticks is given to the loops once, which take half a minute over it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ticks", type=int, nargs="+", default=[80, 3600], metavar="T")
    parser.add_argument("--proposals", type=int, default=1000, metavar="P")
    parser.add_argument("--classes", type=int, default=20, metavar="K")
    parser.add_argument("--repeats", type=int, default=20, metavar="N")


def rows(arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield the table."""
    for ticks in arguments.ticks:
        yield _grouping(ticks, arguments.repeats)
    yield _pooling(arguments.proposals, arguments.classes, arguments.repeats)


def made_curve(ticks: int, seed: int = 0) -> Floats:
    """Return raw scores `[T, 2]` that rise and fall over some ten ticks."""
    rng = np.random.default_rng(seed)
    action = smooth(rng.normal(0, 6, ticks), 4.0)
    return np.stack([-action, action], axis=1)


def _grouping(ticks: int, repeats: int) -> Row:
    scores, rules = made_curve(ticks), TagRules()
    np.testing.assert_allclose(propose(scores), propose_plainly(scores, rules), atol=1e-9)
    repeats = repeats if ticks < SLOW_TICKS else 1
    ours, plain = [], []
    for _ in range(repeats):
        ours.append(1e3 * min(timed(lambda: propose(scores)) for _ in range(5)))
        plain.append(1e3 * timed(lambda: propose_plainly(scores, rules)))
    also = f"{len(propose(scores))} proposals"
    return Row(f"grouping, {ticks} ticks", "ms", ours, plain, "plain loops", GOAL, also)


def propose_plainly(scores: Floats, rules: TagRules) -> Floats:
    """Return what `propose` does, by loops."""
    probability = action_probability(scores, rules.sigma).tolist()
    actions = scores[:, 1].tolist()
    boxes: list[list[float]] = []
    for level in rules.levels:
        above = [value > level for value in probability]
        regions = _runs(above)
        for tolerance in rules.tolerances:
            boxes += _grouped_plainly(above, regions, actions, tolerance, rules.release_sums)
    # Of equal scores the group that comes first in the video.
    left = sorted(boxes, key=lambda box: (-box[2], box[0], box[1]))
    if len(above) >= SLOW_TICKS:  # of equal groups the best: else it would take minutes
        best: dict[tuple[float, float], list[float]] = {}
        for box in left:
            best.setdefault((box[0], box[1]), box)
        left = list(best.values())
    kept = []
    while left:
        first, *others = left
        kept.append(first)
        left = [box for box in others if _plain_overlap(first, box) <= rules.nms_threshold]
    return np.array(kept).reshape(-1, 3)


def _runs(above: list[bool]) -> list[tuple[int, int]]:
    """First tick, and one past the last, of runs above the level."""
    runs, start = [], None
    for tick, inside in enumerate([*above, False]):
        if inside and start is None:
            start = tick
        elif not inside and start is not None:
            runs.append((start, tick))
            start = None
    return runs


def _grouped_plainly(
    above: list[bool],
    regions: list[tuple[int, int]],
    actions: list[float],
    tolerance: float,
    release_sums: bool,
) -> Iterator[list[float]]:
    """The groups of one level and tolerance."""
    ticks = len(above)
    for seed, (start, end) in enumerate(regions):
        last = end
        for next_start, next_end in regions[seed + 1 :]:
            if above[start:next_start].count(False) > tolerance * (next_start - start):
                break
            last = next_end
        yield [start, last + 1, sum(actions[start : last + 1])]
    for seed in reversed(range(len(regions))):
        start, end = regions[seed]
        begin, whole = start, True
        for other_start, other_end in reversed(regions[:seed]):
            zeros = above[other_end + 1 : end].count(False) + (end < ticks)
            if zeros > tolerance * (end - other_end):
                whole = False
                break
            begin = other_start
        summed = actions[: end + 2] if whole and release_sums else actions[begin : end + 1]
        yield [begin, end + 1, sum(summed)]


def _plain_overlap(a: list[float], b: list[float]) -> float:
    common = max(min(a[1], b[1]) - max(a[0], b[0]) + 1, 0)
    return common / ((a[1] - a[0] + 1) + (b[1] - b[0] + 1) - common)


def _pooling(proposals: int, classes: int, repeats: int) -> Row:
    rng = np.random.default_rng(0)
    count, pyramid = 1000, Pyramid()
    width = classes + 1 + 3 * classes * pyramid.parts
    dense = torch.from_numpy(rng.normal(size=(count, width))).float()
    start = rng.integers(0, count - 1, proposals)
    end = np.minimum(start + rng.integers(1, 200, proposals), count)
    half = (end - start) // 2
    context = np.maximum(start - half, 0), start, end, np.minimum(end + half, count)
    ticks = torch.from_numpy(np.stack(context, axis=1))
    scaling = torch.from_numpy(rng.random((proposals, 2))).float()
    expected = pool_plainly(dense, ticks, scaling, classes, pyramid)
    found = torch.cat(pool_ticks(dense, ticks, scaling, classes, pyramid), dim=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    ours, plain = [], []
    for _ in range(repeats):
        ours.append(1e3 * timed(lambda: pool_ticks(dense, ticks, scaling, classes, pyramid)))
        plain.append(1e3 * timed(lambda: pool_plainly(dense, ticks, scaling, classes, pyramid)))
    name = f"pooling, {proposals} proposals, {count} ticks"
    return Row(name, "ms", ours, plain, "a loop over proposals", GOAL, f"{classes} classes")


def pool_plainly(
    dense: Tensor, ticks: Tensor, scaling: Tensor, classes: int, pyramid: Pyramid
) -> Tensor:
    """Return `[P, 4K + 1]`, what `pool_ticks` gives side by side, proposal by proposal."""
    pooled = []
    for (t0, t1, t2, t3), (before, after) in zip(ticks.tolist(), scaling.tolist(), strict=True):
        activity = dense[t1 : max(t1 + 1, t2), : classes + 1].mean(0)
        total = torch.zeros(3 * classes)
        part = 0
        stages = ((t0, t1, before), (t1, t2, 1.0), (t2, t3, after))
        for (left, right, factor), levels in zip(stages, pyramid.stages, strict=True):
            right = max(left + 1, right)
            for number in levels:
                for i in range(number):
                    low = left + i * (right - left) // number
                    high = left + (i + 1) * (right - left) // number
                    if right > 0 and left < len(dense) and high > low:
                        own = classes + 1 + part * classes
                        offset = classes + 1 + (pyramid.parts + 2 * part) * classes
                        columns = dense[low:high, own : own + classes]
                        moves = dense[low:high, offset : offset + 2 * classes]
                        total += torch.cat([columns.mean(0), moves.mean(0)]) * factor
                    part += 1
        pooled.append(torch.cat([activity, total]))
    return torch.stack(pooled)


if __name__ == "__main__":
    main(__doc__, add_arguments, rows)
