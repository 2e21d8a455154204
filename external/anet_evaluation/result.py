"""Temporal mAP and AR-AN of files, as text and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from external.anet_evaluation.detection import ACTIVITYNET, THUMOS, best_overlaps, segment_ap
from external.anet_evaluation.proposals import recall_curve
from external.anet_evaluation.reading import read_segments
from external.anet_evaluation.segments import Segments
from external.figures import known, percent, to_json
from external.matching import Floats
from external.names import Names

THRESHOLDS = {"thumos14": THUMOS, "activitynet": ACTIVITYNET}


@dataclass(frozen=True)
class ClassResult:
    """A class: AP by threshold, numbers of segments and predictions, and why AP is 0 if it is."""

    ap: dict[str, float | None]
    segments: int
    predictions: int
    reason: str


@dataclass(frozen=True)
class Result:
    """What was measured; AP in [0, 1].

    Attributes:
        mean_ap: By threshold, over the `counted` classes that have ground truth.
        average: Of these.
        without_predictions: Videos of the ground truth that have none: each lowers the recall.
        left_out: Predictions and segments that end where they begin, or before.
        average_recall, recall_area: AR at the average number of predictions, and the area under
            AR-AN.
    """

    protocol: str
    mean_ap: dict[str, float | None]
    average: float | None
    counted: int
    classes: dict[str, ClassResult]
    videos: int
    without_predictions: int
    left_out: int
    average_recall: float
    recall_area: float

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return to_json(self)

    def report(self) -> str:
        """Return tables for reading, in percent."""
        head = [
            f"protocol: {self.protocol}; {self.videos} videos, of which "
            f"{self.without_predictions} without predictions; {self.left_out} segments left out "
            f"that end where they begin",
            f"mAP over {self.counted} classes: "
            + "  ".join(f"{name}: {percent(value)}" for name, value in self.mean_ap.items()),
            f"average mAP: {percent(self.average)}",
            f"average recall of the predictions: {percent(self.average_recall)}; "
            f"area under AR-AN: {percent(self.recall_area)}",
            "",
            f"{'class':24}{'segments':>10}{'predicted':>11}{'AP .5':>8}  why it is 0",
        ]
        rows = [
            f"{name:24}{c.segments:>10}{c.predictions:>11}{percent(c.ap.get('0.5')):>8}"
            f"  {c.reason}".rstrip()
            for name, c in self.classes.items()
        ]
        return "\n".join(head + rows)


def evaluate(
    groundtruth: str | Path,
    predictions: str | Path,
    protocol: str = "thumos14",
    subsets: Collection[str] = (),
    strict: bool = False,
) -> Result:
    """Evaluate predictions against ground truth, both files as `reading.py` says.

    Args:
        subsets: Of ground truth in ActivityNet's JSON.
        strict: Predictions of a label that the ground truth does not have are an error; else they
            are left out of the mean with their class.

    Raises:
        ValueError: Naming the file and the place.
    """
    names = Names()
    truth, dropped = read_segments(groundtruth, names, scored=False, subsets=subsets)
    if not len(truth):
        raise ValueError(f"{groundtruth}: holds no segment to find")
    names.closed = strict
    videos = len(np.unique(truth.video))
    found, empty = read_segments(predictions, names, scored=True)
    return measure(found, truth, list(names.labels), protocol, dropped + empty, videos)


def measure(
    found: Segments,
    truth: Segments,
    classes: list[str],
    protocol: str,
    left_out: int = 0,
    videos: int | None = None,
) -> Result:
    """Measure predictions against ground truth that are tables already.

    Args:
        classes: Names by label.
        left_out: Segments that the caller left out, for the report.
        videos: Their number; None: those of the ground truth.
    """
    thresholds = THRESHOLDS[protocol]
    ap = segment_ap(found, truth, len(classes), thresholds)
    means = [known(np.nanmean(row)) for row in ap]
    curve = recall_curve(found, truth)
    return Result(
        protocol=protocol,
        mean_ap={f"{t:g}": mean for t, mean in zip(thresholds, means, strict=True)},
        average=known(float(np.nanmean(ap))),
        counted=int((~np.isnan(ap[0])).sum()),
        classes=_class_results(ap, thresholds, classes, found, truth),
        videos=len(np.unique(truth.video)) if videos is None else videos,
        without_predictions=int((~np.isin(np.unique(truth.video), found.video)).sum()),
        left_out=left_out,
        average_recall=float(curve.recall[-1]),
        recall_area=curve.area,
    )


def _class_results(
    ap: Floats, thresholds: Sequence[float], classes: list[str], found: Segments, truth: Segments
) -> dict[str, ClassResult]:
    best = best_overlaps(found, truth)
    half = thresholds.index(0.5)
    results = {}
    for c, name in enumerate(classes):
        own, predicted = truth.label == c, found.label == c
        values = {f"{t:g}": known(ap[row, c]) for row, t in enumerate(thresholds)}
        reason = _reason(ap[half, c], predicted, own, best, found, truth)
        results[name] = ClassResult(values, int(own.sum()), int(predicted.sum()), reason)
    return results


def _reason(
    ap: float, predicted: Floats, own: Floats, best: Floats, found: Segments, truth: Segments
) -> str:
    """The likeliest reason for an AP of 0 at 0.5; empty where it is not 0."""
    if not own.any():
        return "no ground truth: not counted"
    if ap > 0:
        return ""
    if not predicted.any():
        return "no predictions"
    if not np.isin(truth.video[own], found.video[predicted]).any():
        return "predicted in other videos only"
    if best[own].max() == 0:
        return "no prediction touches a segment: other times?"
    return f"best overlap {best[own].max():.2f}"
