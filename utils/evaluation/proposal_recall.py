"""How well a list's proposals cover its ground truth: recall, AR-AN, as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from external.anet_evaluation import RecallCurve, Segments, recall_curve, segment_overlaps
from external.matching import pair_up
from utils.formats.proposal_lists import ListedVideo

THRESHOLDS = (0.5, 0.7, 0.9)


@dataclass(frozen=True)
class ProposalRecall:
    """The coverage of ground truth by proposals, whatever their class.

    Attributes:
        recall: Share of instances with a proposal of a greater overlap, by `THRESHOLDS`.
        whole_videos: Share of videos all of whose instances have one.
        curve: AR-AN.
        videos, instances, proposals: Their numbers.
    """

    recall: dict[float, float]
    whole_videos: dict[float, float]
    curve: RecallCurve
    videos: int
    instances: int
    proposals: int

    def report(self) -> str:
        """Return lines for reading, in percent."""
        lines = [
            f"{self.videos} videos with {self.instances} instances and {self.proposals} proposals,"
            f" {self.proposals / max(self.videos, 1):.1f} per video",
            "recall of instances: " + _percents(self.recall),
            "videos with all instances found: " + _percents(self.whole_videos),
            f"average recall: {100 * self.curve.recall[-1]:.2f} at {self.curve.number[-1]:.1f} "
            f"proposals per video; area under AR-AN: {100 * self.curve.area:.2f}",
        ]
        return "\n".join(lines)

    def draw(self, path: Path) -> None:
        """Write the AR-AN curve as a picture; needs matplotlib."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.5, 4.2), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(self.curve.number, 100 * self.curve.recall, color="#1f4e79", linewidth=2)
        axes.set_xlabel("average number of proposals per video")
        axes.set_ylabel("average recall at 0.5 to 0.95 [%]")
        axes.set_ylim(0, 100)
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_title(f"area {100 * self.curve.area:.1f} %; recall: {_percents(self.recall)}")
        figure.savefig(path, dpi=130)


def _percents(values: dict[float, float]) -> str:
    return ", ".join(f"{100 * value:.1f} at {threshold:g}" for threshold, value in values.items())


def measure_proposals(videos: Sequence[ListedVideo]) -> ProposalRecall:
    """Measure the proposals of a list, the best first within each video.

    Ground truth that ends where it begins is left out, since nothing can overlap it.
    """
    truth = _table([[(s.start, s.end) for s in v.truth if s.end > s.start] for v in videos])
    proposals = _table([[(p.start, p.end) for p in v.proposals] for v in videos])
    best = best_overlaps_of_any(proposals, truth)
    owners = np.unique(truth.video, return_inverse=True)[1]
    recall, whole = {}, {}
    for threshold in THRESHOLDS:
        found = best > threshold
        recall[threshold] = float(found.mean()) if len(found) else 0.0
        missed = np.bincount(owners, weights=~found)
        whole[threshold] = float((missed == 0).mean()) if len(found) else 0.0
    curve = recall_curve(proposals, truth)
    return ProposalRecall(recall, whole, curve, len(videos), len(truth), len(proposals))


def best_overlaps_of_any(proposals: Segments, truth: Segments) -> NDArray[np.float64]:
    """Return the best overlap of each instance of `truth` with a proposal of its video, `[N]`."""
    first, second = pair_up(truth.video, proposals.video)
    overlap = segment_overlaps(
        truth.start[first], truth.end[first], proposals.start[second], proposals.end[second]
    )
    best = np.zeros(len(truth))
    np.maximum.at(best, first, overlap)
    return best


def _table(spans: Sequence[Sequence[tuple[float, float]]]) -> Segments:
    """Spans of each video as one table; the first of a video scores best."""
    flat = np.array([span for video in spans for span in video], float).reshape(-1, 2)
    counts = [len(video) for video in spans]
    ranks = [-float(rank) for count in counts for rank in range(count)]
    return Segments(
        np.repeat(np.arange(len(spans)), counts),
        np.zeros(len(flat), np.int64),
        flat[:, 0],
        flat[:, 1],
        np.array(ranks),
    )
