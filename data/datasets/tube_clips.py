"""Clips of tubes: where they may start, which frames their windows have, and their targets.

A clip is K consecutive frames, f to f + K - 1, counted from 1. A clip for training is valid by
ACT's rule: every tube of the video is wholly inside (it has a box on each of the K frames) or
wholly outside (it has none), and at least one is inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.datasets.tube_annotations import TubeAnnotations, clip_tubes

CLIP = 6
"""Frames K of a clip (the paper's value for UCF101)."""

TRAIN_STRIDE = 3
"""Frames from one clip for training to the next: half a clip. The paper does not say; ours."""


@dataclass(frozen=True)
class Clips:
    """N clips of `length` frames.

    Attributes:
        video: `[N]` numbers of the annotation's videos.
        start: `[N]` first frames.
        inside: `[N]` how many tubes cover the clip.
        partial: `[N]` how many tubes have only some of its frames.
    """

    length: int
    video: np.ndarray
    start: np.ndarray
    inside: np.ndarray
    partial: np.ndarray

    def __len__(self) -> int:
        return len(self.video)

    def valid(self) -> Clips:
        """Return the clips for training, by ACT's rule."""
        return self[(self.inside > 0) & (self.partial == 0)]

    def __getitem__(self, rows: np.ndarray) -> Clips:
        """The clips of an index array or a mask."""
        return Clips(
            self.length, self.video[rows], self.start[rows], self.inside[rows], self.partial[rows]
        )


def all_clips(annotations: TubeAnnotations, length: int = CLIP, stride: int = 1) -> Clips:
    """Return the clips that start at frames 1, 1 + stride, ... of each video and end within it.

    A video of fewer than `length` frames has none.

    Raises:
        ValueError: Naming a video whose number of frames is not known.
    """
    if length < 1 or stride < 1:
        raise ValueError(f"expected a length and a stride of 1 or more, got {length}, {stride}")
    counts = annotations.frame_counts
    if (counts < 1).any():
        name = annotations.videos[int(np.argmax(counts < 1))]
        raise ValueError(
            f"video {name}: its number of frames is not known; a CSV's NAME.videos.csv gives it"
        )
    starts = np.maximum(counts - length + 1, 0)
    first = np.concatenate([[0], np.cumsum(starts)])
    inside, touching = _covered(annotations, length, first)
    video = np.repeat(np.arange(len(starts)), starts)
    start = np.arange(first[-1]) - first[video] + 1
    every = Clips(length, video, start, inside, touching - inside)
    return every[(start - 1) % stride == 0]


def _covered(
    annotations: TubeAnnotations, length: int, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How many tubes cover each clip, and how many touch it, `[N]` each, at stride 1.

    Args:
        first: `[V + 1]`, the number of each video's first clip. The clips that a tube covers, and
            those that it touches, are each a run: +1 where it begins, -1 behind its end, summed up.
    """
    tubes = annotations.tubes
    begin, end = first[tubes.video], first[tubes.video + 1]
    found = []
    for low, high in (
        (tubes.start, tubes.last - length + 1),  # starts of clips inside the tube
        (tubes.start - length + 1, tubes.last),  # starts of clips that have one of its frames
    ):
        at = np.clip(begin + low - 1, begin, end)
        behind = np.clip(begin + high, at, np.maximum(end, at))
        steps = np.zeros(first[-1] + 1, np.int64)
        np.add.at(steps, at, 1)
        np.add.at(steps, behind, -1)
        found.append(np.cumsum(steps)[:-1])
    return found[0], found[1]


@dataclass(frozen=True)
class Window:
    """The frames around a clip that a network sees.

    Attributes:
        frames: `[F]` numbers from 1; past the ends of the video its first or its last is repeated.
        real: `[F]`, false for frames that are repeated because the video does not reach so far:
            these carry no loss.
    """

    frames: np.ndarray
    real: np.ndarray


def clip_window(start: int, count: int, window: int, length: int = CLIP) -> Window:
    """Return the `window` frames around the clip of `length` frames from `start`.

    Args:
        count: Frames of the video.
        window: `length` times an odd number (6, 18, 30, ...): whole clips before and after the
            clip.
    """
    assert window % length == 0, f"{window} frames are no whole clips of {length}"
    assert (window // length) % 2 == 1, f"{window} frames have no clip of {length} in the middle"
    assert 1 <= start <= count - length + 1, f"clip from {start} of {count} frames"
    wanted = start - (window - length) // 2 + np.arange(window)
    return Window(np.clip(wanted, 1, count), (wanted >= 1) & (wanted <= count))


@dataclass(frozen=True)
class ClipTubes:
    """The G tubes of a window of F frames. Boxes are in pixels of the video.

    Attributes:
        boxes: `[G, F, 4]`, zero where there is none.
        real: `[G, F]` bool, whether the tube has a box there.
        labels: `[G]` class indices from 0.
    """

    boxes: np.ndarray
    real: np.ndarray
    labels: np.ndarray


class TubeTargets:
    """The tubes of an annotation by clip, for training: boxes are limited to the videos' pixels."""

    def __init__(self, annotations: TubeAnnotations) -> None:
        """Limit the boxes to the pixels of their videos.

        Args:
            annotations: With the size of every video.

        Raises:
            ValueError: Naming one without.
        """
        unknown = (annotations.sizes < 1).any(axis=1)
        if unknown.any():
            video = annotations.videos[int(np.argmax(unknown))]
            raise ValueError(
                f"video {video}: its size is not known; a CSV's NAME.videos.csv gives it"
            )
        self.annotations = annotations
        self.tubes = clip_tubes(annotations.tubes, annotations.sizes)
        self._bounds = np.searchsorted(self.tubes.video, np.arange(len(annotations.videos) + 1))

    def of_clip(self, video: int, start: int, window: int, length: int = CLIP) -> ClipTubes:
        """Return the tubes that cover the clip from `start`, on the frames of its window.

        See `clip_window`. A frame that the window repeats has no box.
        """
        count = int(self.annotations.frame_counts[video])
        frames = clip_window(start, count, window, length)
        tubes = self.tubes
        own = np.arange(self._bounds[video], self._bounds[video + 1])
        covers = (tubes.start[own] <= start) & (tubes.last[own] >= start + length - 1)
        chosen = own[covers]
        after = frames.frames[None] - tubes.start[chosen][:, None]
        real = frames.real & (after >= 0) & (after < tubes.lengths[chosen][:, None])
        rows = np.where(real, tubes.ends[chosen][:, None] + after, 0)
        boxes = np.where(real[..., None], tubes.boxes[rows], 0.0)
        return ClipTubes(boxes.astype(np.float32), real, tubes.label[chosen])
