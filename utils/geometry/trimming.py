"""Temporal trimming: which frames of a linked tube show the action (Saha et al. 2016, section 3.4).

Every frame is labelled action or background so that the sum of the labels' scores, less `alpha`
for every change, is the highest; each run of action frames becomes a tube of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation.structures import Tubes
from external.matching import Floats, Ints, group_starts, ranks_in_groups
from utils.geometry.linking import LinkedTubes

ACTION = 0


@dataclass(frozen=True)
class TrimRules:
    """How linked tubes are trimmed.

    Attributes:
        alpha: Cost of a change of label: one number, or one for each class.
        all_labels: Choose among all classes, and keep the frames with the tube's (ROAD's release);
            else between the class, with its score s, and the background, with 1 - s.
        longer_than: A run is dropped unless its last frame is this much after its first (ROAD: 8;
            the BMVC 2016 release: 30).
        best_frames: A run's score is the mean of this many best frames.
    """

    alpha: float | tuple[float, ...] = 3.0
    all_labels: bool = False
    longer_than: int = 8
    best_frames: int = 40


def viterbi(unary: Floats, ends: Ints, alpha: Floats) -> Ints:
    """Label the frames of T sequences so that scores less changes are the highest.

    Args:
        unary: `[R, S]`, the score of each of S labels on each frame.
        ends: `[T + 1]`, rows `ends[t]:ends[t + 1]` are sequence t.
        alpha: `[T]`, the cost of a change in each.

    Returns:
        Labels `[R]`; of equal ones the lowest. All sequences advance a frame at a time.
    """
    lengths = np.diff(ends)
    order = np.argsort(-lengths, kind="stable")
    states = unary.shape[1]
    came_from = np.zeros(unary.shape, np.int16)
    total = np.zeros((len(lengths), states))
    change = 1.0 - np.eye(states)
    for frame in range(int(lengths.max(initial=0))):
        at = order[: np.searchsorted(-lengths[order], -frame, "left")]
        rows = ends[at] + frame
        if frame:
            reached = total[at][:, None, :] - alpha[at][:, None, None] * change  # [t, to, from]
            came_from[rows] = reached.argmax(axis=2)
            total[at] = reached.max(axis=2)
        total[at] += unary[rows]
    return _traced_back(total, came_from, ends)


def _traced_back(total: Floats, came_from: NDArray[np.int16], ends: Ints) -> Ints:
    """Follow the best last label of each sequence back to its first frame."""
    lengths = np.diff(ends)
    labels = np.zeros(len(came_from), np.int64)
    label = total.argmax(axis=1)
    for back in range(1, int(lengths.max(initial=0)) + 1):
        at = np.flatnonzero(lengths >= back)
        rows = ends[at + 1] - back
        labels[rows] = label[at]
        label[at] = came_from[rows, label[at]]
    return labels


def label_frames(scores: Floats, ends: Ints, alpha: Floats) -> NDArray[np.bool_]:
    """Return which frames show the action, `[R]`, by two labels with scores s and 1 - s.

    Args:
        scores: `[R]` in [0, 1]; see `viterbi` for the rest.
    """
    scores = np.clip(scores, 0.0, 1.0)
    return viterbi(np.stack([scores, 1.0 - scores], axis=1), ends, alpha) == ACTION


def trim_tubes(linked: LinkedTubes, rules: TrimRules | None = None) -> LinkedTubes:
    """Return the parts of tubes that show their action, each a tube with a score of its own.

    Args:
        linked: With `row_vectors` where the rules look at all classes.

    Raises:
        ValueError: If `alpha` lists another number of classes than the tubes' labels need.
    """
    rules = rules or TrimRules()
    tubes, scores, vectors = linked
    if not len(tubes):
        return linked
    alpha = _alpha_of(tubes, rules.alpha)
    if rules.all_labels:
        assert vectors is not None, "tubes without the scores of all classes"
        shown = viterbi(vectors, tubes.ends, alpha) == tubes.label[tubes.row_tube()]
    else:
        shown = label_frames(scores, tubes.ends, alpha)
    tube = tubes.row_tube()
    # A run ends where the label changes and where a tube ends.
    bounds = group_starts(tube * 2 + shown)
    first, length = bounds[:-1], np.diff(bounds)
    kept = shown[first] & (length > rules.longer_than + 1)
    first, length = first[kept], length[kept]
    ends = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    rows = np.repeat(first, length) + ranks_in_groups(ends)
    of = tube[first]
    parts = Tubes(
        tubes.video[of],
        tubes.label[of],
        _best_mean(scores[rows], ends, rules.best_frames),
        tubes.start[of] + first - tubes.ends[of],
        ends,
        tubes.boxes[rows],
    )
    return LinkedTubes(parts, scores[rows])


def _alpha_of(tubes: Tubes, alpha: float | tuple[float, ...]) -> Floats:
    """The cost of a change in each tube, `[T]`."""
    if isinstance(alpha, int | float):
        return np.full(len(tubes), float(alpha))
    needed = int(tubes.label.max(initial=-1)) + 1
    if len(alpha) < needed:
        raise ValueError(f"alpha: expected a number for each of {needed} classes, got {len(alpha)}")
    return np.array(alpha, float)[tubes.label]


def _best_mean(scores: Floats, ends: Ints, most: int) -> Floats:
    """The mean of the `most` highest scores of each run, `[T]`."""
    run = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    order = np.lexsort((-scores, run))
    best = order[ranks_in_groups(ends) < most]
    count = np.minimum(np.diff(ends), most)
    return np.bincount(run[best], scores[best], len(ends) - 1) / np.maximum(count, 1)
