"""Results of all videos, over all processes: frame- and video-mAP, and files of detections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from external.act_evaluation import (
    STRICT_RANGE,
    THRESHOLDS,
    FrameBoxes,
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

UNTRIMMED = 0.7
"""Share of annotated frames below which it matters for a class when an action begins and ends."""

BINS = 10
"""Of the histogram of each annotated box's best overlap (the paper's Figure 4)."""


class _Judged(NamedTuple):
    """Of tubes: how many are left after suppression, and video-AP `[thresholds, classes]`."""

    kept: int
    table: Floats


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
            self.results.update(zip(self._waiting, map(_compacted, found), strict=True))
            self._waiting = {}

    def merge(self) -> None:
        """Join what all processes have, in the main process; the others keep their own."""
        self.finish()
        parts = gather_objects(self.results)
        if is_main():
            self.results = {video: result for part in parts for video, result in part.items()}

    def frames(self, step: int, label: int) -> FrameBoxes:
        """Return the boxes of a class at `step`, from 0, by video and frame."""
        nothing = np.zeros(0, np.int64)
        parts = [FrameBoxes(nothing, nothing, nothing, np.zeros(0), np.zeros((0, 4)))]
        for video, result in sorted(self.results.items()):
            boxes = result.steps[step].frames
            parts.append(boxes.of_video(video, boxes.label == label))
        names = ("video", "frame", "label", "score", "boxes")
        return FrameBoxes(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    def tubes(self, trimmed: bool, label: int) -> Tubes:
        """Return the tubes of a class in all videos, trimmed or as linked."""
        return join_tubes(
            [
                (video, linked.tubes[linked.tubes.label == label])
                for video, linked in self._linked(trimmed)
            ]
        )

    def write_detections(self, folder: Path) -> None:
        """Write `frames_step<s>.csv` of every step, `linked.csv` and `tubes.csv` into `folder`."""
        for step in range(self.steps):
            parts = (
                result.steps[step].frames.of_video(video)
                for video, result in sorted(self.results.items())
            )
            write_frames(folder / frames_file(step + 1), parts, self.videos, self.classes)
        for name, trimmed in (("linked.csv", False), ("tubes.csv", True)):
            write_tubes(folder / name, self._linked(trimmed), self.videos, self.classes)

    def evaluate(self) -> dict[str, Any]:
        """Return all figures, of the main process, as plain values; AP in [0, 1].

        Classes are judged one after the other: a detector that is unsure gives hundreds of boxes a
        frame.
        """
        self.finish()
        rules = self.rules
        judged = [self._step(step) for step in range(self.steps)]
        kinds = {"linked": False} if rules.trim is None else {"linked": False, "trimmed": True}
        found = {name: self._video_table(trimmed) for name, trimmed in kinds.items()}
        half = {name: table[THRESHOLDS.index(0.5)] for name, (_, table) in found.items()}
        untrimmed = self.untrimmed_classes()
        return {
            "protocol": rules.protocol.name,
            "iou_threshold": FRAME_THRESHOLD,
            "videos": len(self.results),
            "frames": int(self.frame_counts.sum()),
            "annotated_tubes": len(self.truth),
            "annotated_boxes": len(self.truth.boxes),
            "stride": rules.stride,
            "steps": [figures for figures, _ in judged],
            "link_step": rules.link_step % self.steps + 1,
            "tubes": {name: kept for name, (kept, _) in found.items()},
            "video": {name: video_means(table) for name, (_, table) in found.items()},
            "video_per_class": {name: self._by_class(ap) for name, ap in half.items()},
            "untrimmed": {
                "classes": [self.classes[label] for label in untrimmed],
                **{name: known(mean_ap(ap[untrimmed])) for name, ap in half.items()},
            },
            "ceiling": video_means(self._table(self._ceiling())),
            "errors": judged[-1][1],
        }

    def _step(self, step: int) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
        """The figures of a step; and the shares of its errors for each class, by ACT's protocol."""
        count, rules = len(self.classes), self.rules
        ap, errors = np.full(count, np.nan), {}
        for label, name in enumerate(self.classes):
            boxes = self.frames(step, label)
            judged = judge_frames(boxes, self.truth, FRAME_THRESHOLD, rules.protocol)
            ap[label] = judged.ap(label)
            if step == self.steps - 1 and rules.protocol.name == "act" and not np.isnan(ap[label]):
                share = judged.errors(label)
                errors[name] = {"ap": share.ap, **share.errors, "missed": share.missed}
        results = [result.steps[step] for _, result in sorted(self.results.items())]
        best = np.concatenate([np.zeros(0), *(result.best for result in results)])
        correct = np.concatenate([np.zeros(0), *(result.correct for result in results)])
        seen = self._seen.label[np.isin(self._seen.video, list(self.results))]
        figures = {
            "step": step + 1,
            "mAP": known(mean_ap(ap)),
            "mabo": known(mean_ap(mean_by_class(best, seen, count))),
            "accuracy": known(mean_ap(mean_by_class(correct, seen, count))),
            "detections": sum(len(result.frames) for result in results),
            "overlaps": np.histogram(best, BINS, (0.0, 1.0))[0].tolist(),
            "per_class": self._by_class(ap),
        }
        return figures, errors

    def _linked(self, trimmed: bool) -> Iterator[tuple[int, LinkedTubes]]:
        """The number and the tubes of each video."""
        for video, result in sorted(self.results.items()):
            yield video, result.trimmed if trimmed else result.linked

    def _suppressed(self, tubes: Tubes) -> Tubes:
        return tubes[suppress_tubes(tubes, self.rules.tube_nms, self.rules.protocol.pad)]

    def _video_table(self, trimmed: bool) -> _Judged:
        """How many tubes suppression leaves, and video-AP."""
        kept, columns = 0, []
        for label in range(len(self.classes)):
            tubes = self._suppressed(self.tubes(trimmed, label))
            kept += len(tubes)
            columns.append(self._table(tubes)[:, label])
        return _Judged(kept, np.stack(columns, axis=1))

    def _table(self, tubes: Tubes) -> Floats:
        thresholds = (*THRESHOLDS, *STRICT_RANGE)
        return video_ap(tubes, self.truth, len(self.classes), thresholds, self.rules.protocol)

    def _ceiling(self) -> Tubes:
        """The ground truth linked by the same rules: what perfect tubelets would come to."""
        pieces, rules = ground_truth_tubelets(self.truth, self.length), self.rules
        pieces = pieces[(pieces.start - 1) % rules.stride == 0]  # clips begin at these frames alone
        last = self.frame_counts - self.length + 1
        return self._suppressed(link_tubelets(pieces, last, rules.link, rules.stride).tubes)

    def untrimmed_classes(self) -> list[int]:
        """The classes whose videos have an actor on less than `UNTRIMMED` of their frames."""
        found = []
        for label in range(len(self.classes)):
            boxes = self._seen[self._seen.label == label]
            frames = self.frame_counts[np.unique(boxes.video)].sum()
            annotated = np.unique(np.stack([boxes.video, boxes.frame]), axis=1).shape[1]
            if annotated < UNTRIMMED * frames:
                found.append(label)
        return found

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


def join_tubes(parts: Sequence[tuple[int, Tubes]]) -> Tubes:
    """Return the tubes of several videos; each part is (its number, its tubes)."""
    tubes = [own for _, own in parts]
    lengths = np.concatenate([np.zeros(0, np.int64), *(t.lengths for t in tubes)])
    return Tubes(
        np.repeat([video for video, _ in parts], [len(t) for t in tubes]).astype(np.int64),
        np.concatenate([np.zeros(0, np.int64), *(t.label for t in tubes)]),
        np.concatenate([np.zeros(0), *(t.score for t in tubes)]),
        np.concatenate([np.zeros(0, np.int64), *(t.start for t in tubes)]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        # What compact tubes have kept of their decimals is the files' again.
        np.round(np.concatenate([np.zeros((0, 4)), *(t.boxes for t in tubes)]), DECIMALS),
    )


def _compacted(found: VideoResult) -> VideoResult:
    """The same with the boxes of tubes in float32, which tells the files' decimals apart."""
    return replace(
        found, linked=_compact_tubes(found.linked), trimmed=_compact_tubes(found.trimmed)
    )


def _compact_tubes(linked: LinkedTubes) -> LinkedTubes:
    boxes = cast(Floats, linked.tubes.boxes.astype(np.float32))
    return linked._replace(tubes=replace(linked.tubes, boxes=boxes))
