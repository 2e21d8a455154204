"""Annotations as tubes: actors followed over frames, each with one action (UCF101-24, JHMDB, ...).

Frames are counted from 1. Boxes are `(x1, y1, x2, y2)` in pixels of the video, the last pixel
included (`external/act_evaluation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from utils.formats.tubes import Tubes


@dataclass(frozen=True)
class TubeAnnotations:
    """The tubes of V videos.

    Attributes:
        classes: Names; a tube's label is an index into them.
        videos: Ids, sorted.
        frame_counts: `[V]`, frames of each video, 0 where the file does not say.
        sizes: `[V, 2]`, height and width in pixels, 0 where the file does not say.
    """

    classes: list[str]
    videos: list[str]
    frame_counts: np.ndarray
    sizes: np.ndarray
    tubes: Tubes

    def subset(self, videos: Iterable[str], source: str = "the list") -> TubeAnnotations:
        """Return these videos alone, in sorted order.

        Args:
            source: Where the ids are from, for messages.

        Raises:
            ValueError: Naming the first ids that have no annotation.
        """
        wanted = sorted(set(videos))
        number = {video: i for i, video in enumerate(self.videos)}
        if unknown := [video for video in wanted if video not in number]:
            more = f" (and {len(unknown) - 3} more)" if len(unknown) > 3 else ""
            raise ValueError(f"{source}: not annotated: {', '.join(unknown[:3])}{more}")
        rows = np.array([number[video] for video in wanted], np.int64)
        renumber = np.full(len(self.videos), -1, np.int64)
        renumber[rows] = np.arange(len(rows))
        kept = self.tubes[renumber[self.tubes.video] >= 0]
        tubes = Tubes(
            renumber[kept.video], kept.label, kept.score, kept.start, kept.ends, kept.boxes
        )
        return TubeAnnotations(
            self.classes, wanted, self.frame_counts[rows], self.sizes[rows], tubes
        )

    def unmeasured(self) -> str | None:
        """Return the first video whose number of frames or size is not known, if there is one."""
        known = (self.frame_counts > 0) & (self.sizes > 0).all(axis=1)
        return None if known.all() else self.videos[int(np.argmin(known))]

    def counts(self) -> str:
        """Return one line with the numbers of videos, tubes, boxes and frames."""
        return (
            f"{len(self.videos)} videos, {len(self.tubes)} tubes, {len(self.tubes.boxes)} boxes, "
            f"{int(self.frame_counts.sum())} frames, {len(self.classes)} classes"
        )

    def identical(self) -> list[tuple[str, int, int]]:
        """Return pairs of tubes of a video that are the same: its id and their places, from 0."""
        found = []
        for number, video in enumerate(self.videos):
            own = np.flatnonzero(self.tubes.video == number)
            seen: dict[bytes, int] = {}
            for place, tube in enumerate(own):
                rows = slice(self.tubes.ends[tube], self.tubes.ends[tube + 1])
                head = np.array([self.tubes.label[tube], self.tubes.start[tube]])
                key = head.tobytes() + self.tubes.boxes[rows].tobytes()
                if key in seen:
                    found.append((video, seen[key], place))
                seen.setdefault(key, place)
        return found


def places(tubes: Tubes) -> np.ndarray:
    """The place of each tube within its video, from 0, `[T]`; `tubes` are ordered by video."""
    return np.arange(len(tubes)) - np.searchsorted(tubes.video, tubes.video)


def tube_names(annotations: TubeAnnotations) -> list[str]:
    """Name each tube for messages: its video and its place there, from 0."""
    tubes = annotations.tubes
    numbers = zip(tubes.video.tolist(), places(tubes).tolist(), strict=True)
    return [f"video {annotations.videos[video]}, tube {at}" for video, at in numbers]


def check_inside(annotations: TubeAnnotations, source: str) -> None:
    """Refuse tubes that have nothing to do with their video, which would spoil every figure.

    A tube may end after its video, and a box may reach past the picture: published annotations have
    both, and what is outside is cut off for training. Videos whose number of frames or size is not
    known are left out here.

    Args:
        source: Where the tubes are from, for messages.

    Raises:
        ValueError: Naming the first tube that begins after its video ends, and the first box that
            has no pixel of the picture.
    """
    tubes = annotations.tubes
    counts = annotations.frame_counts[tubes.video]
    late = (counts > 0) & (tubes.start > counts)
    if late.any():
        tube = int(np.argmax(late))
        raise ValueError(
            f"{source}: {tube_names(annotations)[tube]}: begins at frame {tubes.start[tube]}, the "
            f"video has {counts[tube]}"
        )
    of_row = tubes.row_tube()
    size = annotations.sizes[tubes.video[of_row]][:, ::-1]  # width, height
    beside = (tubes.boxes[:, 2:] < 0) | (tubes.boxes[:, :2] >= size)
    outside = beside.any(axis=1) & (size > 0).all(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        tube, (width, height) = tube_names(annotations)[of_row[row]], size[row].tolist()
        raise ValueError(
            f"{source}: {tube}, frame {tubes.row_frame()[row]}: box {tubes.boxes[row].tolist()} is "
            f"outside the picture of {width} x {height} pixels"
        )


def clip_tubes(tubes: Tubes, sizes: np.ndarray) -> Tubes:
    """Return `tubes` with boxes limited to the pixels of their videos, for training.

    Args:
        sizes: `[V, 2]`, height and width. Evaluation takes boxes as they are: the corrected
            UCF101-24 annotation reaches one pixel past the edge, and published numbers depend on
            it.
    """
    last = sizes[tubes.video[tubes.row_tube()]][:, [1, 0, 1, 0]] - 1
    return Tubes(
        tubes.video,
        tubes.label,
        tubes.score,
        tubes.start,
        tubes.ends,
        np.clip(tubes.boxes, 0, last),
    )


def split_at_gaps(frames: Sequence[int]) -> list[tuple[int, int]]:
    """Return the runs of consecutive `frames` (ascending), as places: first, past the last."""
    breaks = [i + 1 for i, (a, b) in enumerate(pairwise(frames)) if b != a + 1]
    return list(pairwise([0, *breaks, len(frames)]))
