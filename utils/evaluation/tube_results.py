"""What a detector of tubes finds in one video: boxes on frames at every step, and linked tubes.

A video's clips come a few at a time; only what metrics and linking read is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation import (
    PROTOCOLS,
    FrameBoxes,
    Protocol,
    Tubelets,
    best_overlaps,
    score_sums,
    suppress_frames,
)
from external.matching import Floats
from utils.evaluation.tubelet_lists import (
    ClipTubelets,
    ListRules,
    best_class_list,
    join_clips,
    linking_list,
    standard_list,
)
from utils.geometry.linking import LinkedTubes, LinkRules, link_candidates
from utils.geometry.trimming import TrimRules, trim_tubes

BLOCK = 64
"""Clips that are reduced together: enough for NumPy to be fast, few enough to be small."""

DECIMALS = 2
"""Of coordinates [pixels] in files, and so in everything that is judged."""


@dataclass(frozen=True)
class TubeRules:
    """What happens to tubelets on their way to metrics.

    Attributes:
        lists: The "standard" list.
        frame_nms: Overlap above which the worse of two boxes of a frame and class goes.
        link: Linking.
        trim: Trimming, `None` for none.
        tube_nms: Overlap above which the worse of two tubes goes.
        stride: Frames from clip to clip.
        link_step: The step, from 0, whose tubelets are linked.
        protocol: How is counted.
    """

    lists: ListRules = field(default_factory=ListRules)
    frame_nms: float = 0.3
    link: LinkRules = field(default_factory=LinkRules)
    trim: TrimRules | None = field(default_factory=TrimRules)
    tube_nms: float = 0.3
    stride: int = 1
    link_step: int = -1
    protocol: Protocol = PROTOCOLS["act"]


@dataclass(frozen=True)
class CompactBoxes:
    """Boxes on the frames of one video, in 26 bytes each, with the coordinates that files have.

    Attributes:
        frame: `[N]` int32.
        label: `[N]` int16.
        score: `[N]` float32.
        boxes: `[N, 4]` float32.
    """

    frame: NDArray[np.int32]
    label: NDArray[np.int16]
    score: NDArray[np.float32]
    boxes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frame)

    def of_video(self, video: int, rows: NDArray | slice = slice(None)) -> FrameBoxes:
        """Return boxes, all or those of a mask, as those of number `video` in the usual types."""
        frame = self.frame[rows].astype(np.int64)
        return FrameBoxes(
            np.full_like(frame, video),
            frame,
            self.label[rows].astype(np.int64),
            self.score[rows].astype(float),
            np.round(self.boxes[rows].astype(float), DECIMALS),
        )


def compact_boxes(boxes: FrameBoxes) -> CompactBoxes:
    """Return the boxes of one video, whose number is forgotten."""
    return CompactBoxes(
        boxes.frame.astype(np.int32),
        boxes.label.astype(np.int16),
        boxes.score.astype(np.float32),
        np.round(boxes.boxes, DECIMALS).astype(np.float32),
    )


@dataclass
class StepResult:
    """A video at one step.

    Attributes:
        frames: Boxes on frames, after suppression.
        best: `[G]`, the best overlap of any box with each box of the ground truth.
        correct: `[G]`, whether the summed scores of the tubelets on it name its class.
    """

    frames: CompactBoxes
    best: Floats
    correct: np.ndarray


@dataclass
class VideoResult:
    """A video at every step, and the tubes of one: linked, and then trimmed. All of video 0."""

    steps: list[StepResult]
    linked: LinkedTubes
    trimmed: LinkedTubes


class VideoResults:
    """Collects the clips of one video and makes its `VideoResult`."""

    def __init__(
        self,
        truth: FrameBoxes,
        frames: int,
        length: int,
        steps: int,
        classes: int,
        rules: TubeRules,
    ) -> None:
        """Begin a video.

        Args:
            truth: The annotated boxes of the video.
            frames: Of the video.
            length: K of a clip.
        """
        self.rules, self.length = rules, length
        self.last_start = frames - length + 1
        self._steps = [_Step(truth, length, classes) for _ in range(steps)]
        self._linking: list[tuple[Tubelets, Floats | None]] = []
        self._waiting: list[Sequence[ClipTubelets]] = []

    def add(self, steps: Sequence[ClipTubelets]) -> None:
        """Add some clips, in order; `steps` has the same clips at each step."""
        self._waiting.append(steps)
        if sum(len(part[0]) for part in self._waiting) >= BLOCK:
            self._reduce()

    def _reduce(self) -> None:
        """Keep what is read later of the clips that wait."""
        if not self._waiting:
            return
        clips = [join_clips(list(parts)) for parts in zip(*self._waiting, strict=True)]
        self._waiting = []
        for step, part in zip(self._steps, clips, strict=True):
            step.add(part, self.rules.lists)
        found, vectors = linking_list(clips[self.rules.link_step], self.rules.link)
        all_labels = self.rules.trim is not None and self.rules.trim.all_labels
        self._linking.append((found, vectors if all_labels else None))

    def finish(self) -> VideoResult:
        """Link, trim and suppress what was added; a video without a clip has no tubes."""
        return finish_videos([self])[0]

    def steps(self) -> list[StepResult]:
        """Suppress among the boxes of every step."""
        self._reduce()
        return [step.finish(self.rules) for step in self._steps]

    def to_link(self, video: int) -> Iterator[tuple[Tubelets, Floats | None]]:
        """What linking looks at, in parts, as tubelets of this number.

        With the scores of all classes where trimming reads them.
        """
        for found, vectors in self._linking:
            yield replace(found, video=np.full(len(found), video)), vectors


def finish_videos(videos: Sequence[VideoResults]) -> list[VideoResult]:
    """Link, trim and suppress what was added to videos that have the same rules and clips.

    They are linked clip by clip together: NumPy's calls, not its work, are what a single video
    takes long for.
    """
    rules, length = videos[0].rules, videos[0].length
    steps = [video.steps() for video in videos]
    parts = [part for number, video in enumerate(videos) for part in video.to_link(number)]
    tubelets = _joined([_no_tubelets(length), *(part[0] for part in parts)])
    scores = [part[1] for part in parts if part[1] is not None]
    vectors = np.concatenate(scores) if scores else None
    last = np.array([video.last_start for video in videos])
    # Each video's are by start already, and within a clip as linking wants them.
    order = np.argsort(tubelets.start, kind="stable")
    vectors = None if vectors is None else vectors[order]
    linked = link_candidates(tubelets[order], last, rules.link, rules.stride, vectors)
    trimmed = linked if rules.trim is None else trim_tubes(linked, rules.trim)
    return [
        VideoResult(own, _tubes_of(linked, number), _tubes_of(trimmed, number))
        for number, own in enumerate(steps)
    ]


class _Step:
    """What is kept of a step's clips.

    Attributes:
        sums: `[G, C]`, see `score_sums`.
    """

    def __init__(self, truth: FrameBoxes, length: int, classes: int) -> None:
        self.truth = truth
        self.standard = [_no_tubelets(length)]
        self.best, self.sums = np.zeros(len(truth)), np.zeros((len(truth), classes))

    def add(self, clips: ClipTubelets, rules: ListRules) -> None:
        found = standard_list(clips, rules)
        self.standard.append(found)
        self.best = np.maximum(self.best, best_overlaps(found.frame_boxes(), self.truth))
        self.sums += score_sums(*best_class_list(clips), self.truth)

    def finish(self, rules: TubeRules) -> StepResult:
        boxes = _joined(self.standard).frame_boxes()
        kept = suppress_frames(boxes, rules.frame_nms, rules.protocol.pad)
        correct = self.sums.argmax(axis=1) == self.truth.label
        return StepResult(compact_boxes(kept), self.best.astype(np.float32), correct)


def _no_tubelets(length: int) -> Tubelets:
    nothing = np.zeros(0, np.int64)
    return Tubelets(nothing, nothing, nothing, np.zeros(0), np.zeros((0, length, 4)))


def _joined(parts: list[Tubelets]) -> Tubelets:
    names = ("video", "start", "label", "score", "boxes")
    return Tubelets(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _tubes_of(linked: LinkedTubes, video: int) -> LinkedTubes:
    """A video's tubes as those of video 0, with the coordinates that files have.

    They are without the scores of all classes.
    """
    first, end = np.searchsorted(linked.tubes.video, [video, video + 1])
    tubes = linked.tubes[np.arange(first, end)]
    rows = slice(linked.tubes.ends[first], linked.tubes.ends[end])
    own = replace(tubes, video=np.zeros_like(tubes.video), boxes=np.round(tubes.boxes, DECIMALS))
    return LinkedTubes(own, linked.row_scores[rows])
