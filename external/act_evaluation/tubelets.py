"""Metrics of tubelets before they are linked: best overlaps and classification accuracy."""

from __future__ import annotations

import numpy as np

from external.act_evaluation.frames import image_keys
from external.act_evaluation.geometry import box_overlaps
from external.act_evaluation.structures import FrameBoxes, Tubelets, Tubes
from external.matching import Floats, Ints, pair_up


def frames_of_videos(truth: Tubes, frame_counts: Ints) -> FrameBoxes:
    """Return the boxes of `truth` on frames that their videos have; `frame_counts`: `[videos]`."""
    boxes = truth.frame_boxes()
    return boxes[boxes.frame <= frame_counts[boxes.video]]


def best_overlaps(boxes: FrameBoxes, truth: FrameBoxes) -> Floats:
    """Return for each box of `truth` the best overlap with any of `boxes` on its frame, `[N]`."""
    best = np.zeros(len(truth))
    first, second = pair_up(image_keys(truth), image_keys(boxes))
    np.maximum.at(best, first, box_overlaps(truth.boxes[first], boxes.boxes[second]))
    return best


def mean_best_overlap(tubelets: Tubelets, truth: Tubes, frame_counts: Ints, classes: int) -> Floats:
    """Return MABO of each class, `[classes]`: the mean of each ground truth's best overlap.

    Args:
        tubelets: The "standard" list; whatever their label. nan for a class without ground truth.
    """
    boxes = frames_of_videos(truth, frame_counts)
    best = best_overlaps(tubelets.frame_boxes(), boxes)
    return mean_by_class(best, boxes.label, classes)


def classification_accuracy(
    tubelets: Tubelets,
    scores: Floats,
    truth: Tubes,
    frame_counts: Ints,
    classes: int,
    threshold: float = 0.7,
) -> Floats:
    """Return the share of ground-truth boxes of each class whose class scores highest, `[classes]`.

    Args:
        tubelets: All, unsuppressed; their labels are not looked at.
        scores: `[N, classes]`. The scores of all tubelets that overlap a ground-truth box by
            `threshold` or more on its frame are summed; where there is none, class 0 is taken, as
            ACT does. nan for a class without ground truth.
    """
    boxes = frames_of_videos(truth, frame_counts)
    sums = score_sums(tubelets, scores, boxes, threshold)
    return mean_by_class(sums.argmax(axis=1) == boxes.label, boxes.label, classes)


def score_sums(
    tubelets: Tubelets, scores: Floats, truth: FrameBoxes, threshold: float = 0.7
) -> Floats:
    """Return for each box of `truth` the summed `scores` `[N, C]` of the tubelets on it, `[G, C]`.

    On it are those that overlap it by `threshold` or more on its frame.
    """
    found = tubelets.frame_boxes()
    first, second = pair_up(image_keys(truth), image_keys(found))
    near = box_overlaps(truth.boxes[first], found.boxes[second]) >= threshold
    first, tubelet = first[near], second[near] // tubelets.boxes.shape[1]
    columns = [np.bincount(first, column[tubelet], len(truth)) for column in scores.T]
    return np.stack(columns, axis=1)


def mean_by_class(values: Floats, labels: Ints, classes: int) -> Floats:
    """Return the mean of `values` `[N]` over each label, `[classes]`; nan where there is none."""
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, weights=values, minlength=classes)
    return np.divide(sums, counts, out=np.full(classes, np.nan), where=counts > 0)
