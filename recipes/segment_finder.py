"""Finding the segments of a video: networks, proposals, scores, fusion, suppression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from data.prepare.snippet_frames import duration_of
from data.snippets.times import LENGTHS, Ints
from data.snippets.video import VideoFrames
from data.video.part import Source
from models.ssn.actionness import ActionnessModel
from models.ssn.detector import SegmentDetector
from models.ssn.tag import TagRules, action_probability, merge_curves, propose
from recipes.ssn_scoring import DenseScoring, advance_together, pool_proposals
from utils.engine.progress import progress_bar
from utils.evaluation.segment_files import segments_in_seconds
from utils.evaluation.segments import DetectionRules, detect_segments, fuse_streams
from utils.formats.proposal_lists import sliding_windows
from utils.reporting.segment_timeline import Timeline
from utils.system.terminal import printable


@dataclass(frozen=True)
class Network:
    """A network of the demo, and how it is to look at a video."""

    network: SegmentDetector | ActionnessModel
    crops: int
    interval: int
    chunk: int

    def scoring(self, source: VideoFrames) -> DenseScoring:
        """Return the scoring of a video, of which nothing is done yet."""
        return DenseScoring(self.network, source, self.crops, self.interval, self.chunk)

    @property
    def reach(self) -> int:
        """Frames that one chunk of snippets spans."""
        snippets = max(self.chunk // self.crops, 1)
        return snippets * self.interval + LENGTHS[self.network.modality]


class SegmentFinder:
    """Finds the segments of a video: actionness, proposals, scores, fusion, suppression.

    Args:
        streams: SSN's networks, actionness: classifiers; without any, sliding windows are the
            proposals.
        rules: From scores to detections.
        size: Width and height to which frames are stretched.
        weights: Of the streams; None: equal ones.
    """

    def __init__(
        self,
        streams: Mapping[str, Network],
        actionness: Mapping[str, Network],
        rules: DetectionRules,
        size: tuple[int, int] | None,
        names: Sequence[str],
        weights: Sequence[float] | None = None,
    ) -> None:
        self.streams, self.actionness, self.rules = streams, actionness, rules
        self.size, self.names, self.weights = size, names, weights

    def __call__(self, name: str, opened: Source) -> Timeline:
        """Return all detections of the video `name`, and its actionness."""
        every = [*self.streams.values(), *self.actionness.values()]
        # Twice the reach: two networks may be a chunk apart, and both must find it decoded.
        source = VideoFrames(opened, self.size, kept=2 * max(n.reach for n in every))
        scorings = {n: n.scoring(source) for n in every}
        self._run(name, list(scorings.values()), len(source))
        duration = duration_of(opened)
        curves = {m: scorings[n].result() for m, n in self.actionness.items()}  # [T, crops, 2]
        spans = self._proposals(list(curves.values()), duration, len(source))
        scores = []
        for stream in self.streams.values():
            assert isinstance(stream.network, SegmentDetector)
            dense = scorings[stream].result().mean(dim=1)
            scores.append({name: pool_proposals(stream.network, dense, spans, len(source))})
        fused = fuse_streams(scores, self.weights, list(self.streams))[name]
        found = detect_segments(fused, self.rules)
        first = float(opened.times[0])
        segments = list(segments_in_seconds(name, found, duration, self.names, first))
        shown = {m: action_probability(_curve(c), TagRules().sigma) for m, c in curves.items()}
        return Timeline(duration, segments, self.names, actionness=shown, first=first)

    def _run(self, name: str, scorings: list[DenseScoring], frames: int) -> None:
        """Score all ticks with all networks, while the video is decoded once."""
        with progress_bar(range(frames), printable(name)) as bar:
            while (frame := advance_together(scorings)) is not None:
                bar.update(max(frame - bar.n, 0))

    def _proposals(self, curves: Sequence[Tensor], duration: float, frames: int) -> Ints:
        """Proposals in frames `[P, 2]`: TAG's, or windows where there is no actionness."""
        if not curves:
            windows = np.array(sliding_windows(duration)).reshape(-1, 2)
            return in_frames(windows / duration, frames)
        merged = merge_curves([_curve(curve) for curve in curves])
        boxes = propose(merged, TagRules())
        return in_frames(boxes[:, :2] / len(merged), frames)


def in_frames(shares: np.ndarray, frames: int) -> Ints:
    """Return spans `[P, 2]`, shares of a video, in its frames; those without a frame go."""
    spans = np.minimum((shares * frames).astype(np.int64), frames)
    return spans[spans[:, 1] > spans[:, 0]]


def _curve(scores: Tensor) -> np.ndarray:
    """Actionness `[T, crops, 2]` as its mean over the crops `[T, 2]`."""
    return scores.double().mean(dim=1).cpu().numpy()
