"""Figures of files of detections, by one protocol, as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation.frames import ERRORS, ErrorShares, judge_frames, suppress_frames
from external.act_evaluation.inputs import Files, read_inputs
from external.act_evaluation.protocol import PROTOCOLS
from external.act_evaluation.structures import FrameBoxes, Tubes
from external.act_evaluation.tubelets import mean_by_class
from external.act_evaluation.videos import (
    STRICT_RANGE,
    THRESHOLDS,
    mean_ap,
    suppress_tubes,
    video_ap,
)
from external.figures import known, percent, to_json


@dataclass(frozen=True)
class Result:
    """What was measured; AP in [0, 1], None for a class without ground truth.

    Attributes:
        videos: Those with ground truth.
        without_detections: Of these, those in which nothing was found: each lowers the recall.
        not_counted: Boxes on frames and tubes of each class without ground truth.
        frame: AP of each class at `frame_threshold`.
        errors: Shares of errors of each class with ground truth (by ACT's protocol alone).
        video: mAP by threshold, the key `0.5:0.95` for the mean over ten.
        video_class: AP of each class at 0.5.
        mabo: Mean best overlap of each class.
        accuracy: Classification accuracy of each class. Parts that were not asked for are empty.
    """

    protocol: str
    frame_threshold: float
    videos: int
    without_detections: int
    not_counted: dict[str, int]
    classes: list[str]
    frame: dict[str, float | None]
    errors: dict[str, ErrorShares]
    video: dict[str, float | None]
    video_class: dict[str, float | None]
    mabo: dict[str, float | None]
    accuracy: dict[str, float | None]

    def to_json(self) -> str:
        """Return all of it as JSON."""
        return to_json(self)

    def report(self) -> str:
        """Return a table for reading, in percent, and what else is to be known."""
        lines = [
            f"protocol: {self.protocol}; {self.videos:,} videos with ground truth, of which "
            f"{self.without_detections:,} without detections"
        ]
        if self.frame:
            lines.append(f"frame-mAP at {self.frame_threshold:g}: {percent(_mean(self.frame))}")
        lines += [f"video-mAP at {name}: {percent(value)}" for name, value in self.video.items()]
        if self.mabo:
            lines.append(f"MABO: {percent(_mean(self.mabo))}")
        if self.accuracy:
            lines.append(f"classification accuracy: {percent(_mean(self.accuracy))}")
        columns = {
            "frame-AP": self.frame,
            "video-AP .5": self.video_class,
            "MABO": self.mabo,
            "accuracy": self.accuracy,
        }
        columns = {name: values for name, values in columns.items() if values}
        lines += ["", f"{'class':24}" + "".join(f"{name:>13}" for name in columns)]
        lines += [
            f"{name:24}" + "".join(f"{percent(values[name]):>13}" for values in columns.values())
            for name in self.classes
        ]
        notes = self._notes()
        return "\n".join([*lines, "", *notes] if notes else lines)

    def _notes(self) -> list[str]:
        notes = []
        if self.errors:
            rows = [{**share.errors, "missed": share.missed} for share in self.errors.values()]
            shares = ", ".join(
                f"{kind} {percent(sum(row[kind] for row in rows) / len(rows))}"
                for kind in (*ERRORS, "missed")
            )
            notes.append(f"what the frame-AP lacks: {shares}")
        if self.not_counted:
            more = f" and {len(self.not_counted) - 5} more" if len(self.not_counted) > 5 else ""
            notes.append(
                f"note: {sum(self.not_counted.values()):,} detections of classes without ground "
                f"truth are not counted: {', '.join(list(self.not_counted)[:5])}{more}"
            )
        return notes


def evaluate(
    files: Files,
    protocol: str = "act",
    frame_threshold: float = 0.5,
    nms_threshold: float = 0.3,
    strict: bool = False,
) -> Result:
    """Evaluate what was detected against tubes of ground truth.

    All files are CSV (`reading.py`, `tubelet_files.py`).

    Args:
        nms_threshold: Overlap above which the worse of two boxes of a frame and class, and of two
            tubes of a video and class, goes.
        strict: Detections of a label that the ground truth does not have are an error; else they
            are left out of the mean with their class.

    Raises:
        ValueError: As `read_inputs`, and for thresholds outside [0, 1].
    """
    for name, value in (("IoU threshold", frame_threshold), ("NMS threshold", nms_threshold)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {value}")
    rules = PROTOCOLS[protocol]
    given = read_inputs(files, strict)
    classes, truth = given.classes, given.truth
    frame: dict[str, float | None] = {}
    errors: dict[str, ErrorShares] = {}
    if given.frames is not None:
        boxes = suppress_frames(given.frames, nms_threshold, rules.pad)
        frame, errors = _frame_part(boxes, truth, classes, frame_threshold, protocol)
    video: dict[str, float | None] = {}
    video_class: dict[str, float | None] = {}
    if given.tubes is not None:
        linked = given.tubes[suppress_tubes(given.tubes, nms_threshold, rules.pad)]
        video, video_class = _video_part(linked, truth, classes, protocol)
    return Result(
        protocol=protocol,
        frame_threshold=frame_threshold,
        videos=len(np.unique(truth.video)),
        without_detections=given.without_detections,
        not_counted=given.not_counted(),
        classes=classes,
        frame=frame,
        errors=errors,
        video=video,
        video_class=video_class,
        mabo=_by_class(given.best, truth, classes),
        accuracy=_by_class(given.correct, truth, classes),
    )


def _frame_part(
    boxes: FrameBoxes, truth: Tubes, classes: list[str], threshold: float, protocol: str
) -> tuple[dict[str, float | None], dict[str, ErrorShares]]:
    """AP of each class, and by ACT's protocol the shares of errors of those that have one."""
    judged = judge_frames(boxes, truth, threshold, PROTOCOLS[protocol])
    ap = {name: known(judged.ap(label)) for label, name in enumerate(classes)}
    counted = [] if protocol != "act" else [n for n, value in ap.items() if value is not None]
    return ap, {name: judged.errors(classes.index(name)) for name in counted}


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


def _by_class(values: NDArray | None, truth: Tubes, classes: list[str]) -> dict[str, float | None]:
    """The mean of `values`, one for each box of `truth`, by class; empty where there are none."""
    if values is None:
        return {}
    means = mean_by_class(values, truth.label[truth.row_tube()], len(classes))
    return dict(zip(classes, map(known, means), strict=True))


def _mean(values: dict[str, float | None]) -> float | None:
    there = [value for value in values.values() if value is not None]
    return sum(there) / len(there) if there else None
