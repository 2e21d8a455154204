"""Temporal mAP of the videos of a list, with and without those that have no scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from external.anet_evaluation import Result, Segments, measure
from utils.evaluation.segments import PROTOCOLS, VideoDetections

Floats = NDArray[np.float64]

Truth = Mapping[str, tuple[Floats, NDArray[np.int64]]]
"""Ground truth by video: spans `[G, 2]`, fractions of the video, and labels `[G]`, from 0."""


@dataclass(frozen=True)
class SplitResult:
    """The measure of a list of videos.

    Attributes:
        every: Of all videos with ground truth; instances in videos without scores are missed.
        scored: Of those that have scores; None: all have.
        missing: How many have none.
    """

    every: Result
    scored: Result | None
    missing: int

    def report(self) -> str:
        """Return tables for reading."""
        if self.scored is None:
            return self.every.report()
        return (
            f"{self.every.report()}\n{self.missing} of {self.every.videos} videos of the list have "
            "no scores, and their instances count as missed; without these videos:\n"
            f"{self.scored.report().splitlines()[1]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for JSON; `scored_only` is there if videos have no scores."""
        content: dict[str, Any] = json.loads(self.every.to_json())
        content["without_scores"] = self.missing
        if self.scored is not None:
            content["scored_only"] = json.loads(self.scored.to_json())
        return content


def measure_split(
    found: Mapping[str, VideoDetections], truth: Truth, classes: list[str], protocol: str
) -> SplitResult:
    """Measure detections of the videos that have scores against the ground truth of a list.

    Args:
        protocol: A key of `PROTOCOLS`.
    """
    scored = {video: instances for video, instances in truth.items() if video in found}
    every = measure_detections(found, truth, classes, protocol)
    missing = len(truth) - len(scored)
    without = measure_detections(found, scored, classes, protocol) if missing and scored else None
    return SplitResult(every, without, missing)


def measure_detections(
    found: Mapping[str, VideoDetections], truth: Truth, classes: list[str], protocol: str
) -> Result:
    """Measure detections against ground truth.

    Every video of the ground truth counts, whether anything was detected in it or not; detections
    in other videos do not.

    Args:
        protocol: A key of `PROTOCOLS`.
    """
    numbers = {video: i for i, video in enumerate(truth)}
    own = {video: d for video, d in found.items() if video in numbers}
    spans = np.concatenate([s for s, _ in truth.values()] or [np.zeros((0, 2))])
    counts = [len(labels) for _, labels in truth.values()]
    table = Segments(
        np.repeat(np.arange(len(truth)), counts),
        np.concatenate([labels for _, labels in truth.values()] or [np.zeros(0, np.int64)]),
        spans[:, 0],
        spans[:, 1],
        np.ones(len(spans)),
    )
    if not len(table):
        raise ValueError("the ground truth holds no segment to find")
    return measure(as_segments(own, numbers), table, classes, PROTOCOLS[protocol].measured_as)


def as_segments(found: Mapping[str, VideoDetections], videos: Mapping[str, int]) -> Segments:
    """Return the detections of all videos as one table.

    Args:
        videos: Their numbers.
    """
    known = [(videos[name], d) for name, d in found.items()]
    spans = np.concatenate([d.spans for _, d in known] or [np.zeros((0, 2))])
    return Segments(
        np.repeat(
            np.array([number for number, _ in known], np.int64), [len(d.labels) for _, d in known]
        ),
        np.concatenate([d.labels for _, d in known] or [np.zeros(0, np.int64)]),
        spans[:, 0],
        spans[:, 1],
        np.concatenate([d.scores for _, d in known] or [np.zeros(0)]),
    )
