"""Greedy suppression and matching in all groups at once: images, videos, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Overlaps = Callable[[Ints, Ints], Floats]
"""Overlaps [P] of P pairs of candidates, given by two arrays of indices [P]."""


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


def suppress(groups: NDArray, overlaps: Overlaps, threshold: float, most: int = 0) -> Ints:
    """Greedy non-maximum suppression in every group at once.

    All groups pick their best at the same time, and each pick is compared with what is left of its
    group: as many rounds as the fullest group has survivors.

    Args:
        groups: `[N]`, equal values side by side; within a group candidates come in descending order
            of score.
        threshold: A candidate survives an overlap of exactly this much.
        most: Stop after that many survivors of a group; 0: never.

    Returns:
        The indices of the survivors, ascending, so in the order of the input.
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


@dataclass(frozen=True)
class Pairs:
    """All pairs of a detection and a ground truth of its group.

    Attributes:
        detection, truth: `[P]`, indices, sorted by detection.
        overlap: `[P]`.
    """

    detection: Ints
    truth: Ints
    overlap: Floats


def pair_up(detection_groups: NDArray, truth_groups: NDArray) -> tuple[Ints, Ints]:
    """Return the indices of all pairs of equal group, sorted by detection.

    Args:
        detection_groups: `[D]`.
        truth_groups: `[G]`.

    Returns:
        Two arrays `[P]`.
    """
    order = np.argsort(truth_groups, kind="stable")
    ordered = truth_groups[order]
    first = np.searchsorted(ordered, detection_groups, "left")
    counts = np.searchsorted(ordered, detection_groups, "right") - first
    detection = np.repeat(np.arange(len(detection_groups)), counts)
    ends = np.cumsum(counts)
    place = np.arange(len(detection)) - np.repeat(ends - counts, counts)
    return detection, order[np.repeat(first, counts) + place]


def match(
    pairs: Pairs,
    groups: NDArray,
    truths: int,
    threshold: float,
    strict: bool = False,
    remaining: bool = True,
) -> Ints:
    """Return which ground truth each detection takes, `[D]`; -1 for none.

    Args:
        groups: `[D]`, the group of each detection; detections are in descending order of score, so
            those of a group are too.
        truths: Number of ground truths.
        strict: The overlap must exceed `threshold`.
        remaining: A detection takes the best ground truth that is not taken yet, whatever its
            overlap; else it looks at its best one only. Of equal overlaps the first pair counts.
    """
    takes = np.full(len(groups), -1, np.int64)
    if not len(pairs.detection):
        return takes
    taken = np.zeros(truths, bool)
    order = np.argsort(groups, kind="stable")
    rank = np.empty(len(groups), np.int64)
    rank[order] = ranks_in_groups(group_starts(groups[order]))
    # One detection of each group at a time, in order of rank: groups do not touch each other.
    by_rank = np.argsort(rank[pairs.detection], kind="stable")
    bounds = group_starts(rank[pairs.detection][by_rank])
    for start, end in pairwise(bounds.tolist()):
        rows = by_rank[start:end]
        detection, truth, overlap = pairs.detection[rows], pairs.truth[rows], pairs.overlap[rows]
        worth = np.where(taken[truth], -np.inf, overlap) if remaining else overlap
        best = _first_maxima(worth, group_starts(detection)[:-1])
        enough = worth[best] > threshold if strict else worth[best] >= threshold
        best = best[enough & ~taken[truth[best]]]
        taken[truth[best]] = True
        takes[detection[best]] = truth[best]
    return takes


def _first_maxima(values: Floats, starts: Ints) -> Ints:
    """Return the index of the first highest value of each run that begins at `starts`."""
    highest = np.maximum.reduceat(values, starts)
    lengths = np.diff(np.append(starts, len(values)))
    is_highest = np.flatnonzero(values == np.repeat(highest, lengths))
    run = np.searchsorted(starts, is_highest, "right")
    return is_highest[group_starts(run)[:-1]]
