"""Results of all videos, over all processes: frame- and video-mAP, and files of detections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from external.act_evaluation import (
    STRICT_RANGE,
    THRESHOLDS,
    FrameBoxes,
    JudgedFrames,
    Tubelets,
    Tubes,
    judge_frames,
    mean_ap,
    mean_by_class,
    suppress_tubes,
    video_ap,
)
from external.figures import known
from external.matching import Floats
from utils.evaluation.tube_files import write_frames, write_tubes
from utils.evaluation.tube_results import (
    DECIMALS,
    TubeRules,
    VideoResult,
    VideoResults,
    finish_videos,
)
from utils.geometry.linking import LinkedTubes, link_tubelets
from utils.system.distributed import gather_objects, is_main

FRAME_THRESHOLD = 0.5

LINKED_VIDEOS, LINKED_CLIPS = 16, 4000
"""At most so many videos, and not many more clips, are linked together: memory (a clip of 24
classes is 50 kB) against time (a video alone takes three times as long)."""

BINS = 10
"""Of the histogram of each annotated box's best overlap (the paper's Figure 4)."""


class TubeEvaluator:
    """Collects what a detector finds in the videos of an annotation, and judges it.

    Args:
        classes: Names in the order of labels.
        videos: Ids.
        frame_counts: `[V]`.
        truth: Their tubes.
        length: Frames K of a clip.
        steps: Of the detector.
    """

    def __init__(
        self,
        classes: Sequence[str],
        videos: Sequence[str],
        frame_counts: np.ndarray,
        truth: Tubes,
        length: int,
        steps: int,
        rules: TubeRules,
    ) -> None:
        self.classes, self.videos = list(classes), list(videos)
        self.frame_counts = frame_counts
        self.truth = truth[np.argsort(truth.video, kind="stable")]
        self.length, self.steps, self.rules = length, steps, rules
        self.results: dict[int, VideoResult] = {}
        self._waiting: dict[int, VideoResults] = {}
        boxes = self.truth.frame_boxes()
        # ACT looks for best overlaps on frames that the video has.
        self._seen = boxes[boxes.frame <= frame_counts[boxes.video]]

    def __len__(self) -> int:
        return len(self.results)

    def collector(self, video: int) -> VideoResults:
        """Return what collects the clips of `video`; `add` wants it when it has them all."""
        truth = self._seen[self._seen.video == video]
        truth = FrameBoxes(
            np.zeros_like(truth.video), truth.frame, truth.label, truth.score, truth.boxes
        )
        frames, classes = int(self.frame_counts[video]), len(self.classes)
        return VideoResults(truth, frames, self.length, self.steps, classes, self.rules)

    def add(self, video: int, collected: VideoResults) -> None:
        """Take a video whose clips are all there; several are linked together."""
        self._waiting[video] = collected
        clips = sum(max(waiting.last_start, 0) for waiting in self._waiting.values())
        if clips >= LINKED_CLIPS or len(self._waiting) >= LINKED_VIDEOS:
            self.finish()

    def finish(self) -> None:
        """Link the videos that wait."""
        if self._waiting:
            found = finish_videos(list(self._waiting.values()))
            self.results.update(zip(self._waiting, found, strict=True))
            self._waiting = {}

    def merge(self) -> None:
        """Join what all processes have, in the main process; the others keep their own."""
        self.finish()
        parts = gather_objects(self.results)
        if is_main():
            self.results = {video: result for part in parts for video, result in part.items()}

    def frames(self, step: int) -> FrameBoxes:
        """Return the boxes on frames of all videos at `step`, from 0, by video, frame and label."""
        parts = [
            _of_video(result.steps[step].frames, video)
            for video, result in sorted(self.results.items())
        ]
        names = ("video", "frame", "label", "score", "boxes")
        empty = _of_video(_no_boxes(), 0)
        joined = [np.concatenate([getattr(p, n) for p in [empty, *parts]]) for n in names]
        return FrameBoxes(*joined)

    def tubes(self, trimmed: bool) -> LinkedTubes:
        """Return the tubes of all videos, trimmed or as linked."""
        parts = [
            (video, result.trimmed if trimmed else result.linked)
            for video, result in sorted(self.results.items())
        ]
        return join_tubes(parts)

    def write_detections(self, folder: Path) -> None:
        """Write `frames_step<s>.csv` of every step, `linked.csv` and `tubes.csv` into `folder`."""
        for step in range(self.steps):
            path = folder / frames_file(step + 1)
            write_frames(path, self.frames(step), self.videos, self.classes)
        for name, trimmed in (("linked.csv", False), ("tubes.csv", True)):
            write_tubes(folder / name, self.tubes(trimmed), self.videos, self.classes)

    def evaluate(self) -> dict[str, Any]:
        """Return all figures, of the main process, as plain values; AP in [0, 1]."""
        self.finish()
        rules = self.rules
        steps = []
        for step in range(self.steps):
            judged = judge_frames(self.frames(step), self.truth, FRAME_THRESHOLD, rules.protocol)
            steps.append(self._step(step, judged))
        found = {"linked": self.tubes(False).tubes}
        if rules.trim is not None:
            found["trimmed"] = self.tubes(True).tubes
        kept = {
            n: t[suppress_tubes(t, rules.tube_nms, rules.protocol.pad)] for n, t in found.items()
        }
        tables = {name: self._video_table(tubes) for name, tubes in kept.items()}
        last = list(tables.values())[-1]
        return {
            "protocol": rules.protocol.name,
            "iou_threshold": FRAME_THRESHOLD,
            "videos": len(self.results),
            "frames": int(self.frame_counts.sum()),
            "annotated_tubes": len(self.truth),
            "annotated_boxes": len(self.truth.boxes),
            "stride": rules.stride,
            "steps": steps,
            "link_step": rules.link_step % self.steps + 1,
            "tubes": {name: len(tubes) for name, tubes in kept.items()},
            "video": {name: video_means(table) for name, table in tables.items()},
            "video_per_class": self._by_class(last[THRESHOLDS.index(0.5)]),
            "ceiling": video_means(self._video_table(self._ceiling())),
            "errors": self._errors(judged),  # of the last step
        }

    def _step(self, step: int, judged: JudgedFrames) -> dict[str, Any]:
        count = len(self.classes)
        ap = judged.ap(count)
        results = [result.steps[step] for _, result in sorted(self.results.items())]
        best = np.concatenate([np.zeros(0), *(result.best for result in results)])
        correct = np.concatenate([np.zeros(0), *(result.correct for result in results)])
        label = self._seen.label[np.isin(self._seen.video, list(self.results))]
        return {
            "step": step + 1,
            "mAP": known(mean_ap(ap)),
            "mabo": known(mean_ap(mean_by_class(best, label, count))),
            "accuracy": known(mean_ap(mean_by_class(correct, label, count))),
            "detections": sum(len(result.frames) for result in results),
            "overlaps": np.histogram(best, BINS, (0.0, 1.0))[0].tolist(),
            "per_class": self._by_class(ap),
        }

    def _suppressed(self, tubes: Tubes) -> Tubes:
        return tubes[suppress_tubes(tubes, self.rules.tube_nms, self.rules.protocol.pad)]

    def _video_table(self, tubes: Tubes) -> Floats:
        thresholds = (*THRESHOLDS, *STRICT_RANGE)
        return video_ap(tubes, self.truth, len(self.classes), thresholds, self.rules.protocol)

    def _ceiling(self) -> Tubes:
        """The ground truth linked by the same rules: what perfect tubelets would come to."""
        pieces = ground_truth_tubelets(self.truth, self.length)
        last = self.frame_counts - self.length + 1
        return self._suppressed(link_tubelets(pieces, last, self.rules.link).tubes)

    def _errors(self, judged: JudgedFrames) -> dict[str, dict[str, float]]:
        """The shares of a step's errors for each class; by ACT's protocol alone."""
        if self.rules.protocol.name != "act":
            return {}
        return {
            name: {"ap": share.ap, **share.errors, "missed": share.missed}
            for name, share in zip(self.classes, judged.errors(len(self.classes)), strict=True)
            if not np.isnan(share.ap)
        }

    def _by_class(self, ap: Floats) -> dict[str, float | None]:
        return dict(zip(self.classes, map(known, ap), strict=True))


def frames_file(step: int) -> str:
    """Return the name of the file of boxes on frames of `step`, counted from 1."""
    return f"frames_step{step}.csv"


def video_means(table: Floats) -> dict[str, float | None]:
    """Video-mAP by threshold, of a table of AP at `THRESHOLDS` and then `STRICT_RANGE`."""
    means = [mean_ap(ap) for ap in table]
    found = {f"{t:g}": known(m) for t, m in zip(THRESHOLDS, means, strict=False)}
    return {**found, "0.5:0.95": known(float(np.mean(means[len(THRESHOLDS) :])))}


def ground_truth_tubelets(truth: Tubes, length: int) -> Tubelets:
    """Return all runs of `length` frames of all tubes; tube i of a video has score 1 - i / 100.

    Args:
        truth: Ordered by video.
    """
    place = np.arange(len(truth)) - np.searchsorted(truth.video, truth.video)
    score: Floats = 1 - 0.01 * place.astype(np.float64)
    counts = np.maximum(truth.lengths - length + 1, 0)
    tube = np.repeat(np.arange(len(truth)), counts)
    step = np.arange(len(tube)) - np.repeat(np.cumsum(counts) - counts, counts)
    boxes = truth.boxes[(truth.ends[tube] + step)[:, None] + np.arange(length)]
    return Tubelets(
        truth.video[tube],
        truth.start[tube] + step,
        truth.label[tube],
        score[tube],
        boxes,
    )


def join_tubes(parts: Sequence[tuple[int, LinkedTubes]]) -> LinkedTubes:
    """Return the tubes of several videos; each part is (its number, its tubes)."""
    tubes = [linked.tubes for _, linked in parts]
    lengths = np.concatenate([np.zeros(0, np.int64), *(t.lengths for t in tubes)])
    joined = Tubes(
        np.repeat([video for video, _ in parts], [len(t) for t in tubes]).astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *(t.label for t in tubes)]),
        np.concatenate([np.zeros(0), *(t.score for t in tubes)]),
        np.concatenate([np.zeros(0, np.int64), *(t.start for t in tubes)]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate([np.zeros((0, 4)), *(t.boxes for t in tubes)]),
    )
    return LinkedTubes(joined, np.concatenate([np.zeros(0), *(p.row_scores for _, p in parts)]))


def _of_video(boxes: FrameBoxes, video: int) -> FrameBoxes:
    """Compact boxes of a video as those of number `video`, in the usual types."""
    return FrameBoxes(
        np.full(len(boxes), video, np.int64),
        boxes.frame.astype(np.int64),
        boxes.label.astype(np.int64),
        boxes.score.astype(float),
        np.round(boxes.boxes.astype(float), DECIMALS),
    )


def _no_boxes() -> FrameBoxes:
    nothing = np.zeros(0, np.int64)
    return FrameBoxes(nothing, nothing, nothing, np.zeros(0), np.zeros((0, 4)))
