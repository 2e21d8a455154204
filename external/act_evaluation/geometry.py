"""Overlaps of boxes, tubelets and tubes on inclusive pixels, and greedy suppression in groups.

Boxes are `(x1, y1, x2, y2)`. In ACT's convention the pixel x2 belongs to the box: its width is
`x2 - x1 + 1`. `pad` is that 1, or 0 where a protocol leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Pairs = Callable[[Ints, Ints], Floats]
"""Overlaps [P] of P pairs of candidates, given by two arrays of indices [P]."""


def box_overlaps(a: Floats, b: Floats, pad: float = 1.0) -> Floats:
    """Return the intersection over union of boxes `a` `[..., 4]` and `b` `[..., 4]`, `[...]`."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]) + pad
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]) + pad
    common = np.maximum(width, 0) * np.maximum(height, 0)
    total = box_areas(a, pad) + box_areas(b, pad) - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)


def box_areas(boxes: Floats, pad: float = 1.0) -> Floats:
    """Return the areas `[...]` of boxes `[..., 4]`."""
    return (boxes[..., 2] - boxes[..., 0] + pad) * (boxes[..., 3] - boxes[..., 1] + pad)


def tubelet_overlaps(a: Floats, b: Floats, pad: float = 1.0) -> Floats:
    """Return the mean over K frames of the boxes' overlaps: `[..., K, 4]` twice to `[...]`."""
    return box_overlaps(a, b, pad).mean(axis=-1)


def group_starts(groups: NDArray) -> Ints:
    """Return where each run of equal values begins in `groups` `[N]`, and N at the end."""
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    return (
        np.concatenate([[0], changes, [len(groups)]]).astype(np.int64)
        if len(groups)
        else (np.zeros(1, np.int64))
    )


def ranks_in_groups(starts: Ints) -> Ints:
    """Return each member's place in its group, from 0; `starts` as `group_starts` gives them."""
    return np.arange(starts[-1]) - np.repeat(starts[:-1], np.diff(starts))


def suppress(groups: NDArray, overlaps: Pairs, threshold: float, most: int = 0) -> Ints:
    """Greedy non-maximum suppression in every group at once.

    groups: `[N]`, equal values side by side; within a group candidates come in descending order of
    score. threshold: a candidate survives an overlap of exactly this much. most: stop after that
    many survivors of a group; 0: never.

    Returns the indices of the survivors, ascending, so in the order of the input.

    All groups pick their best at the same time, and each pick is compared with what is left of its
    group: as many rounds as the fullest group has survivors.
    """
    left = np.arange(len(groups), dtype=np.int64)
    kept = []
    rounds = 0
    while len(left) and not (most and rounds == most):
        starts = group_starts(groups[left])
        picks = left[starts[:-1]]
        kept.append(picks)
        rest = np.ones(len(left), bool)
        rest[starts[:-1]] = False
        pick_of = np.repeat(picks, np.diff(starts))[rest]
        left = left[rest]
        left = left[overlaps(pick_of, left) <= threshold]
        rounds += 1
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
