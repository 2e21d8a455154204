"""What is evaluated: boxes on frames, tubes, and tubelets, each as flat arrays.

Videos and labels are numbered from 0, frames from 1. Boxes are `(x1, y1, x2, y2)` in pixels of the
original video.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.matching import Floats, Ints


@dataclass(frozen=True)
class FrameBoxes:
    """N boxes on frames.

    Attributes:
        video, frame, label: `[N]` int64.
        score: `[N]`.
        boxes: `[N, 4]`.
    """

    video: Ints
    frame: Ints
    label: Ints
    score: Floats
    boxes: Floats

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, rows: NDArray) -> FrameBoxes:
        """The rows of an index array or a mask."""
        return FrameBoxes(
            self.video[rows], self.frame[rows], self.label[rows], self.score[rows], self.boxes[rows]
        )


@dataclass(frozen=True)
class Tubes:
    """T tubes with a box on each of consecutive frames.

    Attributes:
        video, label: `[T]` int64.
        score: `[T]`, 1 for ground truth.
        start: `[T]`, the first frame.
        ends: `[T + 1]`; rows `ends[t]:ends[t + 1]` of `boxes` `[R, 4]` are those of tube t.
    """

    video: Ints
    label: Ints
    score: Floats
    start: Ints
    ends: Ints
    boxes: Floats

    def __len__(self) -> int:
        return len(self.video)

    @property
    def lengths(self) -> Ints:
        """Frames of each tube, `[T]`."""
        return np.diff(self.ends)

    @property
    def last(self) -> Ints:
        """The last frame of each tube, `[T]`."""
        return self.start + self.lengths - 1

    def row_tube(self) -> Ints:
        """The tube of each row of `boxes`, `[R]`."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def row_frame(self) -> Ints:
        """The frame of each row of `boxes`, `[R]`."""
        return np.arange(self.ends[-1]) + np.repeat(self.start - self.ends[:-1], self.lengths)

    def frame_boxes(self) -> FrameBoxes:
        """Every row as a box on a frame, with its tube's label and score."""
        tube = self.row_tube()
        return FrameBoxes(
            self.video[tube], self.row_frame(), self.label[tube], self.score[tube], self.boxes
        )

    def __getitem__(self, tubes: NDArray) -> Tubes:
        """The tubes of an index array or a mask, in its order."""
        chosen = np.arange(len(self))[tubes]
        lengths = self.lengths[chosen]
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(ends[-1]) + np.repeat(self.ends[chosen] - ends[:-1], lengths)
        return Tubes(
            self.video[chosen],
            self.label[chosen],
            self.score[chosen],
            self.start[chosen],
            ends,
            self.boxes[rows],
        )


def make_tubes(parts: Iterable[tuple[int, int, float, int, Floats]]) -> Tubes:
    """Build `Tubes` of `(video, label, score, first frame, boxes [n, 4])`, one entry per tube."""
    rows = list(parts)
    counts = [len(boxes) for *_, boxes in rows]
    return Tubes(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], float),
        np.array([row[3] for row in rows], np.int64),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([np.zeros((0, 4)), *(np.reshape(row[4], (-1, 4)) for row in rows)]),
    )


@dataclass(frozen=True)
class Tubelets:
    """N tubelets of K consecutive frames with a label and a score: ACT's "standard" list.

    Attributes:
        video, start, label: `[N]` int64, `start` the first frame.
        score: `[N]`.
        boxes: `[N, K, 4]`.
    """

    video: Ints
    start: Ints
    label: Ints
    score: Floats
    boxes: Floats

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, rows: NDArray) -> Tubelets:
        """The tubelets of an index array or a mask."""
        return Tubelets(
            self.video[rows], self.start[rows], self.label[rows], self.score[rows], self.boxes[rows]
        )

    def frame_boxes(self) -> FrameBoxes:
        """Every tubelet's boxes, K for each, in the order of the tubelets."""
        count, length = self.boxes.shape[:2]
        return FrameBoxes(
            np.repeat(self.video, length),
            (self.start[:, None] + np.arange(length)).reshape(-1),
            np.repeat(self.label, length),
            np.repeat(self.score, length),
            self.boxes.reshape(count * length, 4),
        )
