"""Tubelets of a whole video, clip after clip: every frame's features are computed once.

Frames come in order, a few at a time. Their features stay as long as a window that is still to come
has them, so that the memory does not grow with the video, and clips that overlap cost no more than
their heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from data.datasets.tube_clips import clip_window
from models.step.features import FrameTable, FrameWindows
from models.step.frame_detector import FrameDetector
from models.step.fusion import (
    ClipScores,
    boost,
    clip_scores,
    mean_by_index,
    run_shared,
    union,
)
from utils.evaluation.detection_loop import check_finite
from utils.evaluation.tubelet_lists import ClipTubelets
from utils.structures import StepOutput

COMBINED: dict[str, Callable[[Sequence[ClipScores], Sequence[float]], ClipScores]] = {
    "mean-index": mean_by_index,
    "union": union,
    "boost": boost,
    "hybrid": mean_by_index,
}
FUSIONS = ("mean-shared", *COMBINED)
"""Ways to combine detectors (`models/step/fusion.py`); hybrid is `mean-index` of three."""


class Portions(NamedTuple):
    """How much goes through a detector at a time."""

    frames: int
    clips: int


def portions(frames: int, clips: int, device: torch.device) -> Portions:
    """Return the portions; 0 frames or clips are as many as suit the device.

    On a CPU more at a time are no faster: a frame of 400 x 400 has 41 MB after VGG16's first
    layer, and a clip of 11 tubes of 30 frames 70 MB when it is pooled. Their memory adds up.
    """
    usual = Portions(2, 1) if device.type == "cpu" else Portions(8, 4)
    return Portions(frames or usual.frames, clips or usual.clips)


class FrameStream:
    """One detector on its way through a video: the features that its windows still need.

    Args:
        proposals: `[M, 4]` pixels of its square images of `side` pixels.

    Attributes:
        frames: Of the video.
    """

    def __init__(
        self, detector: FrameDetector, proposals: Tensor, side: int, device: torch.device
    ) -> None:
        self.detector, self.side, self.device = detector, side, device
        self.proposals = proposals.to(device)
        self.window = detector.clip_spec.window_frames
        self.length = detector.clip_spec.clip_frames
        self.begin(0)

    def begin(self, frames: int) -> None:
        """Begin a video of `frames` frames."""
        self.frames, self.first = frames, 1
        self.table: FrameTable | None = None

    @property
    def last(self) -> int:
        """The last frame whose features are there."""
        return self.first - 1 + (0 if self.table is None else len(self.table))

    def add(self, images: Tensor) -> None:
        """Take the next frames, uint8 `[n, C, S, S]`."""
        new = self.detector.frame_features(images.to(self.device))
        self.table = new if self.table is None else FrameTable.join([self.table, new])

    def frames_of(self, start: int) -> np.ndarray:
        """The frames, from 1, of the window around the clip from `start`."""
        return clip_window(start, self.frames, self.window, self.length).frames

    def ready(self, start: int) -> bool:
        """Whether all frames of the window around the clip from `start` are there."""
        return bool(self.frames_of(start)[-1] <= self.last)

    def windows(self, starts: Sequence[int]) -> FrameWindows:
        """Return the features of the windows around clips."""
        assert self.table is not None
        rows = np.stack([self.frames_of(start) for start in starts]) - self.first
        return self.table.windows(torch.from_numpy(rows))

    def forget_before(self, start: int) -> None:
        """Drop the frames that no window from the clip at `start` on has."""
        needed = start - (self.window - self.length) // 2
        if self.table is not None and needed > self.first:
            gone = min(needed - self.first, len(self.table))
            self.table, self.first = self.table[gone:], self.first + gone


class ClipScorer:
    """What one detector, or several together, say of clips."""

    def __init__(
        self,
        streams: Sequence[FrameStream],
        fusion: str = "mean-index",
        weights: Sequence[float] = (1.0,),
    ) -> None:
        """Note the streams, and how they are fused.

        Args:
            streams: The one whose boxes count first.
            fusion: One of `FUSIONS`.
        """
        self.streams, self.fusion, self.weights = list(streams), fusion, list(weights)

    def __call__(self, starts: Sequence[int]) -> list[ClipScores]:
        """Return what each step says of the clips from `starts`; their windows must be ready."""
        count, side = len(starts), self.streams[0].side
        if self.fusion == "mean-shared" and len(self.streams) > 1:
            shared = run_shared(
                [stream.detector for stream in self.streams],
                [stream.windows(starts) for stream in self.streams],
                [self.streams[0].proposals] * count,
                self.weights,
            )
            check_finite(shared)
            return [clip_scores(output, count, side) for output in shared]
        found = [self._alone(stream, starts) for stream in self.streams]
        steps = [
            [clip_scores(output, count, stream.side) for output in outputs]
            for stream, outputs in zip(self.streams, found, strict=True)
        ]
        if len(steps) == 1:
            return steps[0]
        combine = COMBINED[self.fusion]
        return [combine(parts, self.weights) for parts in zip(*steps, strict=True)]

    @staticmethod
    def _alone(stream: FrameStream, starts: Sequence[int]) -> list[StepOutput]:
        proposals = [stream.proposals] * len(starts)
        outputs = stream.detector.run_steps(stream.windows(starts), proposals)
        check_finite(outputs)
        return outputs


@torch.inference_mode()
def detect_in_video(
    scorer: ClipScorer,
    chunks: Iterable[Sequence[Tensor]],
    frames: int,
    height: int,
    width: int,
    stride: int = 1,
    batch: int = 4,
) -> Iterator[list[ClipTubelets]]:
    """Yield what every step says of the clips of a video, in order, `batch` clips at a time.

    Args:
        chunks: The frames in order; each chunk has uint8 `[n, C, S, S]` for every stream.
        frames: Their number.
        height, width: Of the video [pixels]: boxes are in these, cut at its edges.
        stride: Frames from clip to clip. A video shorter than a clip yields nothing.
    """
    for stream in scorer.streams:
        stream.begin(frames)
    last_start = frames - scorer.streams[0].length + 1
    coming = 1

    def batches(whole: bool) -> Iterator[list[int]]:
        """Clips that are ready, in full batches; in the end what is left, too."""
        nonlocal coming
        while coming <= last_start:
            starts = list(range(coming, last_start + 1, stride))[:batch]
            ready = [s for s in starts if all(stream.ready(s) for stream in scorer.streams)]
            if not ready or (len(ready) < batch and not whole):
                return
            coming = ready[-1] + stride
            yield ready
            for stream in scorer.streams:
                stream.forget_before(coming)

    for chunk in chunks:
        for stream, images in zip(scorer.streams, chunk, strict=True):
            stream.add(images)
        for starts in batches(whole=False):
            yield [in_pixels(part, starts, height, width) for part in scorer(starts)]
    for starts in batches(whole=True):
        yield [in_pixels(part, starts, height, width) for part in scorer(starts)]


def in_pixels(part: ClipScores, starts: Sequence[int], height: int, width: int) -> ClipTubelets:
    """Return a step's tubelets in pixels of the video, cut at its edges."""
    limits = np.array([width, height, width, height], np.float32)
    boxes = np.clip(part.boxes.float().cpu().numpy() * limits, 0, limits)
    # A box narrower than a pixel ends before it begins, since its last pixel belongs to it.
    boxes[..., 2:] = np.maximum(boxes[..., 2:], boxes[..., :2])
    return ClipTubelets(np.array(starts, np.int64), part.scores.float().cpu().numpy(), boxes)
