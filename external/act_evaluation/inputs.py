"""The files of an evaluation, read together: one numbering of videos and classes for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation.reading import read_frame_boxes, read_tubes
from external.act_evaluation.structures import FrameBoxes, Tubes
from external.act_evaluation.tubelet_files import OfTruth, correct_of_file, overlaps_of_file
from external.matching import Ints
from external.names import Names, read_video_lines

Part = TypeVar("Part", FrameBoxes, Tubes)


@dataclass(frozen=True)
class Files:
    """Where the ground truth and what was detected lie; None: not evaluated.

    Attributes:
        frames: Boxes on frames.
        mabo: Boxes of tubelets: ACT's "standard" list.
        accuracy: Boxes of tubelets with the scores of all classes: ACT's "all" list.
        videos: A list of ids, one a line: other videos are left out.
    """

    groundtruth: str | Path
    frames: str | Path | None = None
    tubes: str | Path | None = None
    mabo: str | Path | None = None
    accuracy: str | Path | None = None
    videos: str | Path | None = None


@dataclass(frozen=True)
class Inputs:
    """What was read: names by label, the ground truth, and the detections that there are.

    Attributes:
        best: Of each box of the ground truth, the best overlap with a tubelet's box.
        correct: Of each, whether the tubelets on it say its class.
        without_detections: Videos with ground truth, but without anything detected.
    """

    classes: list[str]
    truth: Tubes
    frames: FrameBoxes | None
    tubes: Tubes | None
    best: NDArray | None
    correct: NDArray | None
    without_detections: int

    def not_counted(self) -> dict[str, int]:
        """Return how many detections there are of each class without ground truth."""
        counts = np.zeros(len(self.classes), np.int64)
        for part in (self.frames, self.tubes):
            if part is not None:
                counts += np.bincount(part.label, minlength=len(counts))
        counts[self.truth.label] = 0
        return {self.classes[label]: int(counts[label]) for label in np.flatnonzero(counts)}


def read_inputs(files: Files, strict: bool = False) -> Inputs:
    """Read all files, limited to the listed videos.

    Args:
        strict: Detections of a label that the ground truth does not have are an error.

    Raises:
        ValueError: Naming file and line for what cannot be read and for a listed video that none of
            the files has.
    """
    names, videos = Names(), files.videos
    lines = {} if videos is None else read_video_lines(videos)
    truth = read_tubes(files.groundtruth, names, scored=False)
    if not len(truth):
        raise ValueError(f"{files.groundtruth}: holds no tube")
    names.closed = strict
    frames = None if files.frames is None else read_frame_boxes(files.frames, names)
    tubes = None if files.tubes is None else read_tubes(files.tubes, names, scored=True)
    boxes = truth.frame_boxes()
    best = None if files.mabo is None else overlaps_of_file(files.mabo, boxes, names)
    correct = None if files.accuracy is None else correct_of_file(files.accuracy, boxes, names)
    detected = _videos_of([frames, tubes], [best, correct])
    there = {*detected.tolist(), *truth.video.tolist()}
    for video, line in lines.items():
        if names.videos.get(video) not in there:
            raise ValueError(
                f"{videos}, line {line}: video {video!r} is neither in the ground truth nor in the "
                "detections"
            )
    # Detections of equal score count in the order of their videos: sorted, as `test.py` has them.
    place = {video: i for i, video in enumerate(sorted(names.videos))}
    number = np.array([place[v] if v in lines or videos is None else -1 for v in names.videos])
    missed = np.setdiff1d(truth.video, detected)
    counted = number[boxes.video] >= 0
    truth = _renumbered(truth, number)
    if not len(truth):
        raise ValueError(f"{files.groundtruth}: holds no tube of the videos in {videos}")
    return Inputs(
        list(names.labels),
        truth,
        None if frames is None else _renumbered(frames, number),
        None if tubes is None else _renumbered(tubes, number),
        None if best is None else best.values[counted],
        None if correct is None else correct.values[counted],
        int((number[missed] >= 0).sum()),
    )


def _renumbered(part: Part, number: Ints) -> Part:
    """`part` with the new number of each video; -1 leaves it out."""
    part = part[number[part.video] >= 0]
    return replace(part, video=number[part.video])


def _videos_of(
    parts: Iterable[FrameBoxes | Tubes | None], measured: Iterable[OfTruth | None]
) -> Ints:
    """The numbers of the videos in which anything was detected."""
    found = [part.video for part in parts if part is not None]
    found += [part.videos for part in measured if part is not None]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
