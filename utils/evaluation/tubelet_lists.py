"""The lists of tubelets that a detector of tubes gives for each clip (ACT, section 3.3).

The "standard" list is for metrics of frames: tubelets with a score, after suppression. The "all"
list is for linking: every tubelet of every class, of which linking takes the best few.

Letters: B clips, M tubelets of a clip, K frames of a clip, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation import Tubelets
from external.act_evaluation.geometry import plane_overlaps
from external.matching import Floats, Ints, group_starts, ranks_in_groups
from utils.geometry.linking import LinkRules

LARGEST = 1 << 19
"""Coordinates that are looked at at a time: few enough to stay in a processor's cache."""


@dataclass(frozen=True)
class ListRules:
    """What is on the "standard" list; the defaults are ACT's.

    Attributes:
        score_threshold: Scores are above it.
        candidates: Best tubelets of a clip and class that are looked at.
        nms_threshold: Mean IoU, of continuous boxes, above which the worse of two of a clip and
            class goes.
        most: Tubelets of a clip in the end, of all classes together.
    """

    score_threshold: float = 0.01
    candidates: int = 400
    nms_threshold: float = 0.45
    most: int = 200


@dataclass(frozen=True)
class ClipTubelets:
    """What a step says of B clips of one video.

    Attributes:
        starts: `[B]` first frames, from 1.
        scores: `[B, M, C]`; negative where a tubelet is none of that class: no list has it.
        boxes: `[B, M, K, C, 4]`, every class's own, in pixels of the video and inside it.
    """

    starts: Ints
    scores: NDArray[np.floating]
    boxes: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.starts)

    def of_class(self, clip: Ints, tubelet: Ints, label: Ints) -> Tubelets:
        """Return tubelets `tubelet` `[N]` of clips `clip` `[N]` as those of classes `label` `[N]`.

        They are of video 0.
        """
        return Tubelets(
            np.zeros(len(clip), np.int64),
            self.starts[clip],
            label,
            self.scores[clip, tubelet, label].astype(float),
            self.boxes[clip, tubelet, :, label].astype(float),
        )


def join_clips(parts: list[ClipTubelets]) -> ClipTubelets:
    """Return the clips of several parts, in order."""
    return ClipTubelets(
        np.concatenate([part.starts for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.boxes for part in parts]),
    )


def standard_list(clips: ClipTubelets, rules: ListRules) -> Tubelets:
    """Return the "standard" list of each clip, by clip and descending score."""
    # The worse never suppress the better: which of them are candidates can be asked afterwards.
    clip, tubelet, label, rank = survivors(clips, rules.nms_threshold, pad=0.0)
    listed = (clips.scores[clip, tubelet, label] > rules.score_threshold) & (
        rank < rules.candidates
    )
    every = clips.of_class(clip[listed], tubelet[listed], label[listed])
    every = every[np.lexsort((-every.score, every.start))]
    return every[ranks_in_groups(group_starts(every.start)) < rules.most]


def linking_list(clips: ClipTubelets, rules: LinkRules) -> tuple[Tubelets, Floats]:
    """Return what linking looks at of the "all" list, and each one's scores of all classes.

    Nothing else of the list is ever read, so a video's clips need not be kept. It is what
    `best_of_clips` chooses, in its order.
    """
    clip, tubelet, label, _ = survivors(clips, rules.nms_threshold, pad=1.0)
    kept = ranks_in_groups(group_starts(clip * clips.scores.shape[2] + label)) < rules.candidates
    kept &= clips.scores[clip, tubelet, label] >= 0
    clip, tubelet, label = clip[kept], tubelet[kept], label[kept]
    return clips.of_class(clip, tubelet, label), _known(clips.scores[clip, tubelet])


def survivors(clips: ClipTubelets, threshold: float, pad: float) -> tuple[Ints, Ints, Ints, Ints]:
    """Suppress among the tubelets of each clip and class; return those that are left.

    Returns:
        Clip, tubelet, label, and rank among all of the clip and class, `[N]` each, by clip, label
        and rank. The same as greedy suppression, with all overlaps of a clip and class at once.
    """
    count, tubelets, classes = clips.scores.shape
    scores = clips.scores.transpose(0, 2, 1).reshape(count * classes, tubelets)
    order = np.argsort(-scores, axis=1, kind="stable")
    kept = np.ones((count * classes, tubelets), bool)
    size = max(LARGEST // clips.boxes[0].size, 1)
    for first in range(0, count, size):
        near = _near(clips.boxes[first : first + size], threshold, pad)
        rows = slice(first * classes, (first + len(near) // classes) * classes)
        _suppress(near, order[rows], kept[rows])
    group, rank = np.nonzero(kept)
    return group // classes, order[group, rank], group % classes, rank


def _near(boxes: NDArray[np.floating], threshold: float, pad: float) -> NDArray[np.bool_]:
    """Whether two tubelets of a clip and class overlap by more than `threshold`, `[g, M, M]`.

    Args:
        boxes: `[B, M, K, C, 4]`; g = B * C.
    """
    tubelets, length = boxes.shape[1:3]
    # Clip and class are the last axis: NumPy is fast where that is long.
    planes = boxes.transpose(4, 2, 1, 0, 3).astype(float, order="C")
    planes = planes.reshape(4, length, tubelets, -1)  # [4, K, M, g]
    near = np.zeros((tubelets, tubelets, planes.shape[-1]), bool)
    for one in range(tubelets - 1):
        others = slice(one + 1, None)
        overlap = plane_overlaps(planes[:, :, one, None], planes[:, :, others], pad)
        near[one, others] = near[others, one] = ~(overlap.mean(axis=0) <= threshold)
    return near.transpose(2, 0, 1)


def _suppress(near: NDArray[np.bool_], order: Ints, kept: NDArray[np.bool_]) -> None:
    """Clear `kept` `[g, M]`, by rank, where a better one that is kept is `near` `[g, M, M]`.

    Args:
        order: `[g, M]`, the tubelet of each rank.
    """
    group = np.arange(len(order))[:, None]
    for better in range(order.shape[1] - 1):
        beside = near[group, order[:, better, None], order[:, better + 1 :]]
        kept[:, better + 1 :] &= ~(beside & kept[:, better, None])


def best_class_list(clips: ClipTubelets) -> tuple[Tubelets, Floats]:
    """Return every tubelet once, with the boxes of its best class, and its scores `[N, C]`.

    What classification accuracy is measured on: there a tubelet has one box on a frame.
    """
    count, tubelets, classes = clips.scores.shape
    clip, tubelet = np.indices((count, tubelets)).reshape(2, -1)
    scores = clips.scores.reshape(-1, classes)
    return clips.of_class(clip, tubelet, scores.argmax(axis=1)), _known(scores)


def _known(scores: NDArray[np.floating]) -> Floats:
    """Scores of 0 in place of the negative ones, of classes that a tubelet does not have."""
    return np.maximum(scores, 0).astype(float)
