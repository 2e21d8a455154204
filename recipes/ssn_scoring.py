"""Scoring a video with SSN: all ticks once, then every proposal from their scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data.snippets.sources import FrameSource, read_snippets
from data.snippets.times import LENGTHS, Ints, pooling_plan, video_ticks
from data.snippets.views import CropView
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector
from utils.formats.segment_scores import Floats, SegmentScores

CPU_SNIPPETS = 20
"""At most so many go through a network together on a CPU: fewer are slower, more only take more
memory."""


class DenseScoring:
    """A network's scores of all ticks of a video, taken chunk by chunk.

    Args:
        source: The video.
        crops: 1 or 10.
        interval: Frames from a tick to the next.
        chunk: Snippets that go through the network at a time, at least one tick's crops; memory
            follows it.
    """

    def __init__(
        self,
        network: SegmentDetector | ActionnessModel,
        source: FrameSource,
        crops: int,
        interval: int,
        chunk: int,
    ) -> None:
        self.source, self.crops, self.modality = source, crops, network.modality
        self._run = _scorer(network)
        self._device = next(network.parameters()).device
        self._view = CropView(network.input_side, crops)
        first = video_ticks(len(source), LENGTHS[network.modality], interval)
        size = max(chunk // crops, 1)
        self._coming = np.split(first, range(size, len(first), size))[::-1]
        self._done: list[Tensor] = []

    @property
    def next_frame(self) -> int | None:
        """The frame that the next chunk begins with, from 1; `None` at the video's end."""
        return int(self._coming[-1][0]) if self._coming else None

    def advance(self) -> None:
        """Read and score the next chunk."""
        first = self._coming.pop()
        scores = self.score(self.read(first))  # [crops * n, W], crop by crop
        by_crop = scores.reshape(self.crops, len(first), -1).transpose(0, 1)
        self._done.append(by_crop.float())  # [n, crops, W]

    def read(self, first: Ints) -> Tensor:
        """Read the snippets that begin at frames `first` `[n]`: uint8 `[crops * n, C, H, W]`."""
        return read_snippets(self.source, first, self.modality, self._view)

    @torch.inference_mode()
    def score(self, snippets: Tensor) -> Tensor:
        """Run the network on snippets `[n, C, H, W]`, uint8: scores `[n, W]`."""
        parts = math.ceil(len(snippets) / CPU_SNIPPETS) if self._device.type == "cpu" else 1
        return torch.cat([self._run(part.to(self._device)) for part in snippets.chunk(parts)])

    def result(self) -> Tensor:
        """Return the scores of all ticks by crop, `[T, crops, W]`."""
        while self._coming:
            self.advance()
        return torch.cat(self._done)


def _scorer(network: SegmentDetector | ActionnessModel) -> Callable[[Tensor], Tensor]:
    """What gives the scores `[n, W]` of snippets: all heads of SSN as one layer, or actionness."""
    if isinstance(network, ActionnessModel):
        return network
    detector = network
    weight, bias = detector.stacked_heads()
    return lambda snippets: functional.linear(detector.features(snippets), weight, bias)


def advance_together(scorings: Sequence[DenseScoring]) -> int | None:
    """Score the next chunk of the network that is furthest behind in its video.

    A source that keeps its decoded frames then decodes once for all networks. Returns the frame
    that the scoring has reached, `None` at the end.
    """
    coming = [(frame, s) for s in scorings if (frame := s.next_frame) is not None]
    if not coming:
        return None
    frame, behind = min(coming, key=lambda pair: pair[0])
    behind.advance()
    return frame


def score_video(
    detector: SegmentDetector,
    source: FrameSource,
    spans: Ints,
    crops: int = 1,
    interval: int = 6,
    chunk: int = 32,
) -> SegmentScores:
    """Return the scores of a video's proposals, frames `[P, 2]`; of none, those of the whole video.

    Further arguments as for `DenseScoring`; scores of crops are averaged.
    """
    dense = DenseScoring(detector, source, crops, interval, chunk).result()
    return pool_proposals(detector, dense.mean(dim=1), spans, len(source))


@torch.inference_mode()
def pool_proposals(
    detector: SegmentDetector, dense: Tensor, spans: Ints, frames: int
) -> SegmentScores:
    """Return the scores of proposals, frames `[P, 2]`, by the scores of all ticks `[T, W]`.

    Args:
        frames: N of the video. Of no proposals it makes one, all of the video.
    """
    plan = pooling_plan(spans, frames, len(dense))
    ticks, scaling = torch.from_numpy(plan.ticks), torch.from_numpy(plan.scaling)
    output = detector.pool(dense, ticks.to(dense.device), scaling.to(dense))
    regression = detector.denormalise(output.regression)
    return SegmentScores(
        plan.spans, _numbers(output.activity), _numbers(output.completeness), _numbers(regression)
    )


def score_actionness(
    model: ActionnessModel, source: FrameSource, crops: int = 1, interval: int = 5, chunk: int = 32
) -> Floats:
    """Return a video's actionness `[T, crops, 2]`, raw scores of background and action."""
    return _numbers(DenseScoring(model, source, crops, interval, chunk).result())


def _numbers(values: Tensor) -> Floats:
    return values.double().cpu().numpy()
