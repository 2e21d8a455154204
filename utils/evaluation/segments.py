"""From scores of proposals to detections of segments: fusion, the best, suppression, regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from external.anet_evaluation import ACTIVITYNET, THUMOS
from utils.formats.segment_scores import SegmentScores
from utils.geometry.segments import regress_segments, suppress_segments

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DetectionRules:
    """How scores become detections.

    Attributes:
        top_k: Pairs of a proposal and a class that a video keeps, before suppression; 0 or less:
            all, and background takes part in the softmax.
        nms_threshold: Overlap above which the worse of two detections of a class goes.
        softmax_before_filter: With scores of a video classifier, use the softmax of the activity,
            not the raw scores.
        classifier_top_k: Best classes of the video classifier that are kept.
        regress: Move the ends by the regression.
        use_completeness: Score by the activity times the exponential of the completeness, not by
            the activity alone.
    """

    top_k: int = 2000
    nms_threshold: float = 0.2
    softmax_before_filter: bool = True
    classifier_top_k: int = 1
    regress: bool = True
    use_completeness: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.nms_threshold <= 1:
            raise ValueError(f"nms_threshold: expected 0 to 1, got {self.nms_threshold}")
        if self.classifier_top_k < 1:
            raise ValueError(f"classifier_top_k: expected 1 or more, got {self.classifier_top_k}")


@dataclass(frozen=True)
class SegmentProtocol:
    """How a dataset's detections are made and measured.

    Attributes:
        thresholds: Overlaps of the mAP.
        measured_as: The name of these thresholds in `external.anet_evaluation`.
    """

    rules: DetectionRules
    thresholds: tuple[float, ...]
    measured_as: str


PROTOCOLS = {
    "thumos14": SegmentProtocol(DetectionRules(), THUMOS, "thumos14"),
    "activitynet1.2": SegmentProtocol(
        DetectionRules(top_k=60, nms_threshold=0.6, softmax_before_filter=False),
        ACTIVITYNET,
        "activitynet",
    ),
}
PROTOCOLS["activitynet1.3"] = PROTOCOLS["activitynet1.2"]


def fuse_streams(
    streams: Sequence[Mapping[str, SegmentScores]],
    weights: Sequence[float] | None = None,
    names: Sequence[str | Path] | None = None,
) -> dict[str, SegmentScores]:
    """Return the weighted mean of the streams' scores, for every video of the first.

    Args:
        weights: Of each stream; None: equal ones. They are divided by their sum. Spans are those of
            the first stream.
        names: Of the files, for errors.

    Raises:
        ValueError: Naming file and video where a stream lacks a video, or has another number of
            proposals or classes.
    """
    shares = np.ones(len(streams)) if weights is None else np.asarray(weights, float)
    if len(shares) != len(streams) or not len(streams):
        raise ValueError(
            f"score weights: expected one for each of {len(streams)} streams, got {len(shares)}"
        )
    if not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise ValueError(f"score weights: expected 0 or more, got {list(shares)}")
    shares = shares / shares.sum()
    called = names or [f"stream {i + 1}" for i in range(len(streams))]
    return {
        video: _fused(video, [_of(s, video, n) for s, n in zip(streams, called, strict=True)],
                      shares, called)
        for video in streams[0]
    }  # fmt: skip


def _of(stream: Mapping[str, SegmentScores], video: str, name: str | Path) -> SegmentScores:
    if video not in stream:
        raise ValueError(f"{name}: has no scores of video {video}: a stream of another dataset?")
    return stream[video]


def _fused(
    video: str, scores: Sequence[SegmentScores], shares: Floats, names: Sequence[str | Path]
) -> SegmentScores:
    first = scores[0]
    for found, name in zip(scores, names, strict=True):
        if found.completeness.shape != first.completeness.shape:
            raise ValueError(
                f"{name}: video {video}: {found.completeness.shape[0]} proposals of "
                f"{found.classes} classes, expected {first.completeness.shape[0]} of "
                f"{first.classes} as in {names[0]}"
            )

    def mean(arrays: Sequence[Floats]) -> Floats:
        total = sum(share * array for share, array in zip(shares, arrays, strict=True))
        return np.asarray(total)

    return replace(
        first,
        activity=mean([s.activity for s in scores]),
        completeness=mean([s.completeness for s in scores]),
        regression=mean([s.regression for s in scores]),
    )


def softmax(scores: Floats) -> Floats:
    """Return the softmax of `[P, C]` over C."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def combined_scores(
    scores: SegmentScores, rules: DetectionRules, classifier: Floats | None = None
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the score of each proposal and class `[P, K]`, and which of them are kept.

    Args:
        classifier: `[K]`, the video's scores by a classifier of whole videos.
    """
    complete = np.exp(scores.completeness) if rules.use_completeness else 1.0
    if classifier is not None:
        activity = softmax(scores.activity) if rules.softmax_before_filter else scores.activity
        combined = activity[:, 1:] * complete
        best = np.argsort(-classifier, kind="stable")[: rules.classifier_top_k]
        kept = np.zeros(combined.shape, bool)
        kept[:, best] = True
        return combined, kept
    if rules.top_k <= 0:
        combined = softmax(scores.activity)[:, 1:] * complete
        return combined, np.ones(combined.shape, bool)
    combined = softmax(scores.activity[:, 1:]) * complete
    order = np.argsort(-combined, axis=None, kind="stable")[: rules.top_k]
    kept = np.zeros(combined.shape, bool)
    kept.reshape(-1)[order] = True
    return combined, kept


@dataclass(frozen=True)
class VideoDetections:
    """Detections of a video, by class, best first.

    Attributes:
        spans: `[D, 2]`, fractions of the video.
    """

    labels: NDArray[np.int64]
    spans: Floats
    scores: Floats


def detect_segments(
    scores: SegmentScores, rules: DetectionRules, classifier: Floats | None = None
) -> VideoDetections:
    """Return a video's detections: the kept pairs, suppressed by class, then regressed."""
    combined, kept = combined_scores(scores, rules, classifier)
    proposals, labels = np.nonzero(kept)
    spans, values = scores.spans[proposals], combined[proposals, labels]
    survivors = suppress_segments(spans, values, rules.nms_threshold, groups=labels)
    proposals, labels = proposals[survivors], labels[survivors]
    spans, values = spans[survivors], values[survivors]
    if rules.regress:
        spans = regress_segments(spans, scores.regression[proposals, labels])
    return VideoDetections(labels, spans, values)
