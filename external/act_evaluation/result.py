"""Frame- and video-mAP of files, by one protocol, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from external.act_evaluation.frames import ErrorShares, judge_frames, suppress_frames
from external.act_evaluation.protocol import PROTOCOLS
from external.act_evaluation.reading import read_frame_boxes, read_tubes
from external.act_evaluation.structures import Tubes
from external.act_evaluation.videos import (
    STRICT_RANGE,
    THRESHOLDS,
    mean_ap,
    suppress_tubes,
    video_ap,
)
from external.figures import known, percent, to_json
from external.names import Names


@dataclass(frozen=True)
class Result:
    """What was measured; AP in [0, 1], None for a class without ground truth.

    Attributes:
        frame: AP of each class at `frame_threshold`.
        errors: Shares of errors of each class (by ACT's protocol alone).
        video: mAP by threshold, the key `0.5:0.95` for the mean over ten.
        video_class: AP of each class at 0.5. Parts that were not asked for are empty.
    """

    protocol: str
    frame_threshold: float
    classes: list[str]
    frame: dict[str, float | None]
    errors: dict[str, ErrorShares]
    video: dict[str, float | None]
    video_class: dict[str, float | None]

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return to_json(self)

    def report(self) -> str:
        """Return a table for reading, in percent."""
        lines = [f"protocol: {self.protocol}"]
        if self.frame:
            lines.append(f"frame-mAP at {self.frame_threshold:g}: {percent(_mean(self.frame))}")
        lines += [f"video-mAP at {name}: {percent(value)}" for name, value in self.video.items()]
        header = f"{'class':24}{'frame-AP':>10}{'video-AP .5':>13}"
        lines += ["", header]
        lines += [
            f"{name:24}{percent(self.frame.get(name)):>10}{percent(self.video_class.get(name)):>13}"
            for name in self.classes
        ]
        return "\n".join(lines)


def evaluate(
    groundtruth: str | Path,
    frames: str | Path | None = None,
    tubes: str | Path | None = None,
    protocol: str = "act",
    frame_threshold: float = 0.5,
    nms_threshold: float = 0.3,
) -> Result:
    """Evaluate boxes on frames, tubes, or both, against tubes of ground truth.

    All three are CSV files (`external/act_evaluation/reading.py`).

    Args:
        nms_threshold: Overlap above which the worse of two boxes of a frame and class, and of two
            tubes of a video and class, goes.

    Raises:
        ValueError: Naming file and line for what cannot be read, for a label that the ground truth
            does not have, and for thresholds outside [0, 1].
    """
    for name, value in (("IoU threshold", frame_threshold), ("NMS threshold", nms_threshold)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {value}")
    rules, names = PROTOCOLS[protocol], Names()
    truth = read_tubes(groundtruth, names, scored=False)
    if not len(truth):
        raise ValueError(f"{groundtruth}: holds no tube")
    names.closed = True
    classes = list(names.labels)
    frame: dict[str, float | None] = {}
    errors: dict[str, ErrorShares] = {}
    if frames is not None:
        found = suppress_frames(read_frame_boxes(frames, names), nms_threshold, rules.pad)
        judged = judge_frames(found, truth, frame_threshold, rules)
        frame = {name: known(judged.ap(label)) for label, name in enumerate(classes)}
        if protocol == "act":
            errors = {name: judged.errors(label) for label, name in enumerate(classes)}
    video: dict[str, float | None] = {}
    video_class: dict[str, float | None] = {}
    if tubes is not None:
        linked = read_tubes(tubes, names, scored=True)
        linked = linked[suppress_tubes(linked, nms_threshold, rules.pad)]
        video, video_class = _video_part(linked, truth, classes, protocol)
    return Result(
        protocol=protocol,
        frame_threshold=frame_threshold,
        classes=classes,
        frame=frame,
        errors=errors,
        video=video,
        video_class=video_class,
    )


def _video_part(
    tubes: Tubes, truth: Tubes, classes: list[str], protocol: str
) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Video-mAP by threshold, and AP of each class at 0.5."""
    table = video_ap(tubes, truth, len(classes), (*THRESHOLDS, *STRICT_RANGE), PROTOCOLS[protocol])
    means = [mean_ap(ap) for ap in table]
    video = {f"{t:g}": known(m) for t, m in zip(THRESHOLDS, means, strict=False)}
    video["0.5:0.95"] = known(float(np.mean(means[len(THRESHOLDS) :])))
    half = table[THRESHOLDS.index(0.5)]
    return video, dict(zip(classes, map(known, half), strict=True))


def _mean(values: dict[str, float | None]) -> float | None:
    there = [value for value in values.values() if value is not None]
    return sum(there) / len(there) if there else None
