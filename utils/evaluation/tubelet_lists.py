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
from external.act_evaluation.geometry import tubelet_overlaps
from external.matching import Floats, Ints, group_starts, ranks_in_groups, suppress
from utils.geometry.linking import LinkRules, best_of_clips


@dataclass(frozen=True)
class ListRules:
    """What is on the "standard" list; the defaults are ACT's.

    score_threshold: scores are above it. candidates: best tubelets of a clip and class that are
    looked at. nms_threshold: mean IoU, of continuous boxes, above which the worse of two of a clip
    and class goes. most: tubelets of a clip in the end, of all classes together.
    """

    score_threshold: float = 0.01
    candidates: int = 400
    nms_threshold: float = 0.45
    most: int = 200


@dataclass(frozen=True)
class ClipTubelets:
    """What a step says of B clips of one video.

    starts: `[B]` first frames, from 1. scores: `[B, M, C]`. boxes: `[B, M, K, C, 4]`, every class's
    own, in pixels of the video and inside it.
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
    every = clips.of_class(*np.nonzero(clips.scores > rules.score_threshold))
    order = np.lexsort((-every.score, every.label, every.start))
    every = every[order]
    groups = every.start * clips.scores.shape[2] + every.label
    near = ranks_in_groups(group_starts(groups)) < rules.candidates
    every, groups = every[near], groups[near]
    boxes = every.boxes

    def overlaps(first: Ints, second: Ints) -> Floats:
        return tubelet_overlaps(boxes[first], boxes[second], pad=0.0)

    every = every[suppress(groups, overlaps, rules.nms_threshold)]
    every = every[np.lexsort((-every.score, every.start))]
    return every[ranks_in_groups(group_starts(every.start)) < rules.most]


def linking_list(clips: ClipTubelets, rules: LinkRules) -> tuple[Tubelets, Floats]:
    """Return what linking looks at of the "all" list, and each one's scores of all classes.

    Nothing else of the list is ever read, so a video's clips need not be kept.
    """
    count, tubelets, classes = clips.scores.shape
    clip, tubelet, label = np.indices((count, tubelets, classes)).reshape(3, -1)
    every = clips.of_class(clip, tubelet, label)
    kept = best_of_clips(every, rules)
    return every[kept], clips.scores[clip[kept], tubelet[kept]].astype(float)


def best_class_list(clips: ClipTubelets) -> tuple[Tubelets, Floats]:
    """Return every tubelet once, with the boxes of its best class, and its scores `[N, C]`.

    What classification accuracy is measured on: there a tubelet has one box on a frame.
    """
    count, tubelets, classes = clips.scores.shape
    clip, tubelet = np.indices((count, tubelets)).reshape(2, -1)
    scores = clips.scores.reshape(-1, classes)
    return clips.of_class(clip, tubelet, scores.argmax(axis=1)), scores.astype(float)
