"""Frame- and video-mAP of files, by one protocol, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from external.act_evaluation.frames import ERRORS, ErrorShares, judge_frames, suppress_frames
from external.act_evaluation.protocol import PROTOCOLS
from external.act_evaluation.reading import read_frame_boxes, read_tubes
from external.act_evaluation.structures import FrameBoxes, Tubes
from external.act_evaluation.videos import (
    STRICT_RANGE,
    THRESHOLDS,
    mean_ap,
    suppress_tubes,
    video_ap,
)
from external.figures import known, percent, to_json
from external.matching import Ints
from external.names import Names, read_video_lines

Part = TypeVar("Part", FrameBoxes, Tubes)


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
        video_class: AP of each class at 0.5. Parts that were not asked for are empty.
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
        header = f"{'class':24}{'frame-AP':>10}{'video-AP .5':>13}"
        lines += ["", header]
        lines += [
            f"{name:24}{percent(self.frame.get(name)):>10}{percent(self.video_class.get(name)):>13}"
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


class _Input(NamedTuple):
    """What was read: names by label, the ground truth, and the detections that there are."""

    classes: list[str]
    truth: Tubes
    frames: FrameBoxes | None
    tubes: Tubes | None


def evaluate(
    groundtruth: str | Path,
    frames: str | Path | None = None,
    tubes: str | Path | None = None,
    protocol: str = "act",
    frame_threshold: float = 0.5,
    nms_threshold: float = 0.3,
    videos: str | Path | None = None,
    strict: bool = False,
) -> Result:
    """Evaluate boxes on frames, tubes, or both, against tubes of ground truth.

    All three are CSV files (`external/act_evaluation/reading.py`).

    Args:
        nms_threshold: Overlap above which the worse of two boxes of a frame and class, and of two
            tubes of a video and class, goes.
        videos: A list of ids, one a line: ground truth and detections of other videos are left out.
        strict: Detections of a label that the ground truth does not have are an error; else they
            are left out of the mean with their class.

    Raises:
        ValueError: Naming file and line for what cannot be read and for a listed video that none of
            the files has, and for thresholds outside [0, 1].
    """
    for name, value in (("IoU threshold", frame_threshold), ("NMS threshold", nms_threshold)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name}: expected 0 to 1, got {value}")
    rules = PROTOCOLS[protocol]
    given = _read(groundtruth, frames, tubes, videos, strict)
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
        without_detections=len(np.setdiff1d(truth.video, _videos_of([given.frames, given.tubes]))),
        not_counted=_not_counted(given),
        classes=classes,
        frame=frame,
        errors=errors,
        video=video,
        video_class=video_class,
    )


def _read(
    groundtruth: str | Path,
    frames: str | Path | None,
    tubes: str | Path | None,
    videos: str | Path | None,
    strict: bool,
) -> _Input:
    """Read the files, limited to the listed videos; see `evaluate` for arguments and errors."""
    names, lines = Names(), {} if videos is None else read_video_lines(videos)
    truth = read_tubes(groundtruth, names, scored=False)
    if not len(truth):
        raise ValueError(f"{groundtruth}: holds no tube")
    names.closed = strict
    boxes = None if frames is None else read_frame_boxes(frames, names)
    linked = None if tubes is None else read_tubes(tubes, names, scored=True)
    there = set(_videos_of([truth, boxes, linked]).tolist())
    for video, line in lines.items():
        if names.videos.get(video) not in there:
            raise ValueError(
                f"{videos}, line {line}: video {video!r} is neither in the ground truth nor in the "
                "detections"
            )
    # Detections of equal score count in the order of their videos: sorted, as `test.py` has them.
    place = {video: i for i, video in enumerate(sorted(names.videos))}
    number = np.array([place[v] if v in lines or videos is None else -1 for v in names.videos])
    truth = _renumbered(truth, number)
    if not len(truth):
        raise ValueError(f"{groundtruth}: holds no tube of the videos in {videos}")
    return _Input(
        list(names.labels),
        truth,
        None if boxes is None else _renumbered(boxes, number),
        None if linked is None else _renumbered(linked, number),
    )


def _renumbered(part: Part, number: Ints) -> Part:
    """`part` with the new number of each video; -1 leaves it out."""
    part = part[number[part.video] >= 0]
    return replace(part, video=number[part.video])


def _videos_of(parts: Iterable[FrameBoxes | Tubes | None]) -> Ints:
    """The numbers of the videos in any of `parts`."""
    there = [part.video for part in parts if part is not None]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *there]))


def _not_counted(given: _Input) -> dict[str, int]:
    """How many detections there are of each class without ground truth."""
    counts = np.zeros(len(given.classes), np.int64)
    for part in (given.frames, given.tubes):
        if part is not None:
            counts += np.bincount(part.label, minlength=len(counts))
    counts[given.truth.label] = 0
    return {given.classes[label]: int(counts[label]) for label in np.flatnonzero(counts)}


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


def _mean(values: dict[str, float | None]) -> float | None:
    there = [value for value in values.values() if value is not None]
    return sum(there) / len(there) if there else None
