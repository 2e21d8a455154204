"""Frame-AP, and why it is not higher: ACT's frame metrics."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation.geometry import box_overlaps
from external.act_evaluation.precision import average_precision, curve_area
from external.act_evaluation.protocol import PROTOCOLS, Protocol
from external.act_evaluation.structures import FrameBoxes, Tubes
from external.matching import Floats, Ints, Pairs, match, pair_up, suppress

ACT = PROTOCOLS["act"]
ERRORS = ("localisation", "classification", "timing", "other")


def suppress_frames(boxes: FrameBoxes, threshold: float = 0.3, pad: float = 1.0) -> FrameBoxes:
    """Return what survives suppression within each frame and class.

    The result is ordered by video, frame, label and descending score; of equal scores the earlier
    row of `boxes` comes first.
    """
    order = np.lexsort((-boxes.score, boxes.label, boxes.frame, boxes.video))
    ordered = boxes[order]
    groups = image_keys(ordered, ordered.label)

    def overlaps(first: Ints, second: Ints) -> Floats:
        return box_overlaps(ordered.boxes[first], ordered.boxes[second], pad)

    return ordered[suppress(groups, overlaps, threshold)]


def image_keys(boxes: FrameBoxes, labels: Ints | int = 0) -> Ints:
    """Return a number `[N]` for each (video, frame, label), the same for equal ones.

    Raises:
        ValueError: Where the numbers would not fit 64 bits.
    """
    limits = (2**22, 2**30, 2**11)
    for name, values, limit in zip(
        ("video", "frame", "label"), (boxes.video, boxes.frame, labels), limits, strict=True
    ):
        if np.size(values) and (np.min(values) < 0 or np.max(values) >= limit):
            raise ValueError(f"{name} numbers: expected 0 to {limit - 1}, got {np.max(values)}")
    return (boxes.video * limits[1] + boxes.frame) * limits[2] + labels


def frame_hits(
    detections: FrameBoxes, truth: FrameBoxes, threshold: float, protocol: Protocol = ACT
) -> NDArray[np.bool_]:
    """Return which of `detections`, in descending order of score, find a box of `truth`, `[N]`."""
    groups = image_keys(detections, detections.label)
    first, second = pair_up(groups, image_keys(truth, truth.label))
    overlap = box_overlaps(detections.boxes[first], truth.boxes[second], protocol.pad)
    pairs = Pairs(first, second, overlap)
    return match(pairs, groups, len(truth), threshold, protocol.strict, protocol.remaining) >= 0


@dataclass(frozen=True)
class ErrorShares:
    """What part of a class's area each kind of error takes: AP, `errors` and `missed` make about 1.

    Attributes:
        errors: By the names in `ERRORS`.
        missed: 1 - final recall.
        detections: Their number.
    """

    ap: float
    errors: dict[str, float]
    missed: float
    detections: int


@dataclass(frozen=True)
class JudgedFrames:
    """Boxes on frames, judged once: average precision and errors are read from it.

    Attributes:
        ordered: The boxes, in descending order of score.
        hits: `[N]`, which of them find a box of `boxes`.
        truth: The tubes that were looked for.
        boxes: Every row of every tube of `truth`.
    """

    ordered: FrameBoxes
    hits: NDArray[np.bool_]
    truth: Tubes
    boxes: FrameBoxes
    threshold: float
    protocol: Protocol

    @cached_property
    def kinds(self) -> Ints:
        """The index in `ERRORS` of what each detection is if it finds nothing, `[N]`."""
        return _error_kinds(self.ordered, self.truth, self.boxes, self.threshold)

    def ap(self, label: int) -> float:
        """Return the average precision of a class; nan without ground truth."""
        found = self.hits[self.ordered.label == label]
        return average_precision(found, self._positives(label), self.protocol.interpolated)

    def errors(self, label: int) -> ErrorShares:
        """Return what the false positives of a class are (ACT, error analysis).

        A detection that finds nothing is a *localisation* error where its frame has ground truth of
        its class (duplicates too); else a *classification* error where it overlaps another class's
        by `threshold` or more; else, on frames that show no action, a *timing* error where its
        video has its class; else *other*.
        """
        own = self.ordered.label == label
        return _shares(self.hits[own], self.kinds[own], self._positives(label))

    def _positives(self, label: int) -> int:
        return int(np.count_nonzero(self.boxes.label == label))


def judge_frames(
    detections: FrameBoxes, truth: Tubes, threshold: float = 0.5, protocol: Protocol = ACT
) -> JudgedFrames:
    """Return which of `detections` find the ground truth.

    Classes do not touch each other: those of one class alone are judged as among all.

    Args:
        detections: After `suppress_frames`; equal scores are taken in their order. Every row of
            every tube of `truth` is to be found. Frames without annotation count unless the
            protocol leaves them out.
    """
    boxes = truth.frame_boxes()
    if protocol.annotated_frames_only:
        detections = detections[np.isin(image_keys(detections), image_keys(boxes))]
    ordered = detections[np.argsort(-detections.score, kind="stable")]
    hits = frame_hits(ordered, boxes, threshold, protocol)
    return JudgedFrames(ordered, hits, truth, boxes, threshold, protocol)


def frame_ap(
    detections: FrameBoxes,
    truth: Tubes,
    classes: int,
    threshold: float = 0.5,
    protocol: Protocol = ACT,
) -> Floats:
    """Return the average precision of each class, `[classes]`: `JudgedFrames.ap`."""
    judged = judge_frames(detections, truth, threshold, protocol)
    return np.array([judged.ap(label) for label in range(classes)])


def error_analysis(
    detections: FrameBoxes, truth: Tubes, classes: int, threshold: float = 0.5
) -> list[ErrorShares]:
    """Return for each class what its false positives are: `JudgedFrames.errors`."""
    judged = judge_frames(detections, truth, threshold)
    return [judged.errors(label) for label in range(classes)]


def _error_kinds(
    ordered: FrameBoxes, truth: Tubes, boxes: FrameBoxes, threshold: float
) -> NDArray[np.int64]:
    """Return the index in `ERRORS` of what each detection is if it finds nothing, `[N]`."""
    images = image_keys(ordered)
    same_class = np.isin(image_keys(ordered, ordered.label), image_keys(boxes, boxes.label))
    any_class = np.isin(images, image_keys(boxes))
    first, second = pair_up(images, image_keys(boxes))
    near = box_overlaps(ordered.boxes[first], boxes.boxes[second]) >= threshold
    confused = np.zeros(len(ordered), bool)
    confused[first[near]] = True
    labels = int(max(ordered.label.max(initial=0), truth.label.max(initial=0))) + 1
    in_video = np.isin(ordered.video * labels + ordered.label, truth.video * labels + truth.label)
    return np.select(
        [same_class, any_class & confused, any_class, in_video],
        [ERRORS.index(e) for e in ("localisation", "classification", "other", "timing")],
        ERRORS.index("other"),
    )


def _shares(hits: NDArray[np.bool_], kind: Ints, positives: int) -> ErrorShares:
    """Return the areas of one class under the shares of each error against recall."""
    ranks = np.arange(1, len(hits) + 1)
    recall = np.concatenate([[0.0], np.cumsum(hits) / max(positives, 1)])
    errors = {}
    for index, name in enumerate(ERRORS):
        share = np.cumsum(~hits & (kind == index)) / ranks
        errors[name] = curve_area(np.concatenate([[0.0], share]), recall)
    return ErrorShares(
        average_precision(hits, positives), errors, 1.0 - float(recall[-1]), len(hits)
    )
