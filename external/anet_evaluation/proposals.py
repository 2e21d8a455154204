"""How well proposals cover the ground truth, whatever their class: AR-AN, and plain recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from external.anet_evaluation.detection import ACTIVITYNET
from external.anet_evaluation.segments import Segments, segment_overlaps
from external.matching import Floats, Ints, group_starts, pair_up, ranks_in_groups


class RecallCurve(NamedTuple):
    """Average recall against the average number of proposals.

    Attributes:
        number: `[100]`, proposals per video.
        recall: `[100]`, averaged over the thresholds.
        area: Under the curve, divided by the largest number; in [0, 1].
    """

    number: Floats
    recall: Floats
    area: float


def recall_curve(
    proposals: Segments,
    truth: Segments,
    most_per_video: float | None = None,
    thresholds: Sequence[float] = ACTIVITYNET,
) -> RecallCurve:
    """Return AR-AN by the rule of the ActivityNet toolkit.

    Of a video's n proposals the share `most_per_video x videos / proposals` that scores best is
    kept; the curve takes 100 equal steps of what is kept of every video. Videos without proposals
    find nothing.

    Args:
        proposals: Labels are not looked at; of videos without ground truth they do not count.
        most_per_video: Average number of proposals per video that is kept; None: all.
    """
    videos = np.unique(truth.video)
    proposals = proposals[np.isin(proposals.video, videos)]
    average = len(proposals) / max(len(videos), 1)
    share = 1.0 if most_per_video is None or not average else most_per_video / average
    ordered = proposals[np.lexsort((-proposals.score, proposals.video))]
    rank = ranks_in_groups(group_starts(ordered.video))
    count = np.bincount(ordered.video, minlength=int(truth.video.max(initial=-1)) + 1)
    kept = np.minimum((count * share).astype(np.int64), count)
    steps = np.arange(1, 101) / 100
    of_truth = kept[truth.video][:, None]
    taken = (of_truth * steps).astype(np.int64)
    found_at = _first_ranks(ordered, rank, truth, kept, thresholds)
    recall = np.mean(
        [(ranks[:, None] < taken).sum(axis=0) / max(len(truth), 1) for ranks in found_at], axis=0
    )
    number = steps * min(share, 1.0) * average
    area = float(np.trapezoid(recall, number) / number[-1]) if average else 0.0
    return RecallCurve(number, recall, area)


def _first_ranks(
    proposals: Segments, rank: Ints, truth: Segments, kept: Ints, thresholds: Sequence[float]
) -> list[Ints]:
    """For each threshold the rank of the best proposal that finds each ground truth, `[N]`.

    Where none does it is a number beyond all ranks.
    """
    first, second = pair_up(truth.video, proposals.video)
    within = rank[second] < kept[truth.video[first]]
    first, second = first[within], second[within]
    overlap = segment_overlaps(
        truth.start[first], truth.end[first], proposals.start[second], proposals.end[second]
    )
    result = []
    for threshold in thresholds:
        near = overlap >= threshold
        ranks = np.full(len(truth), np.iinfo(np.int64).max)
        np.minimum.at(ranks, first[near], rank[second[near]])
        result.append(ranks)
    return result


def recall(proposals: Segments, truth: Segments, threshold: float) -> float:
    """Return the share of ground truth with a proposal that overlaps it by over `threshold`."""
    if not len(truth):
        return float("nan")
    first, second = pair_up(truth.video, proposals.video)
    overlap = segment_overlaps(
        truth.start[first], truth.end[first], proposals.start[second], proposals.end[second]
    )
    found = np.zeros(len(truth), bool)
    found[first[overlap > threshold]] = True
    return float(found.mean())
