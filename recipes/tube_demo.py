"""STEP's demo on tubes: a video's tubes drawn on it, and as tables.

A tube's score and ends are known when its video is over, so the video is decoded twice: once to
detect, and once to draw.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data.frame_inputs import frame_inputs
from data.prepare.flow import FlowSettings, make_method
from data.toy.tube_scenes import ACTIONS
from data.video.file import TimedFrame
from data.video.inputs import Sources
from data.video.part import Source, first_frame
from data.video.rewrite import open_sound, rewrite
from external.act_evaluation import FrameBoxes, Tubes, suppress_tubes
from external.files import real_path
from models.step.frame_detector import FrameDetector
from models.weights.checkpoint import LoadedCheckpoint
from recipes.demo_classes import class_names, new_names, shown_names
from recipes.demo_options import DemoOptions
from recipes.found_page import write_found_page
from recipes.report_film import report_names
from recipes.results_files import (
    Answer,
    checkpoint_settings,
    is_done,
    source_settings,
    tell_nothing,
)
from recipes.tube_streaming import ClipScorer, detect_in_video, portions
from recipes.tube_testing import check_rules, open_stream, tube_rules
from utils.config.step_tubes import TubesConfig
from utils.evaluation.tube_files import write_tubes
from utils.evaluation.tube_results import VideoResults as CollectedVideo
from utils.geometry.linking import LinkedTubes
from utils.reporting.drawing import short_names
from utils.reporting.label_choice import LabelChoice
from utils.reporting.person_files import result_names, write_document
from utils.reporting.shrinking import draw_shrunk
from utils.reporting.tube_reports import describe_tubes, persons_by_frame, tube_document
from utils.runs.settings import with_run_data
from utils.system.interrupt import StopSignals
from utils.system.staging import staged_results
from utils.system.stall import STEP_LIMIT, each_within
from utils.system.terminal import hides_bars, printable

Checkpoint = LoadedCheckpoint[TubesConfig, FrameDetector]


@dataclass
class TubeResults:
    """A folder of videos with tubes; see `recipes.results_files.VideoResults`.

    Attributes:
        config: Of the detector.
        classes: Id to name, as they are shown.
        own: Id to name, as the detector has them.
        choice: Which classes count, and from which score.
        options: Of the demo.
        stride: Frames from clip to clip.
    """

    scorer: ClipScorer
    config: TubesConfig
    classes: dict[int, str]
    own: dict[int, str]
    choice: LabelChoice
    options: DemoOptions
    stride: int

    @property
    def path(self) -> Path:
        """Return the folder."""
        return self.options.output

    def names(self, video: str) -> list[str]:
        """Return the files that the results of a video are."""
        report = report_names(video) if self.options.report else []
        return result_names(video)[0 if self.options.video else 1 :] + report

    def is_done(self, video: str, source: Source) -> bool:
        """Whether all files of a video are there, whole, and made in the same way."""
        return is_done(self.path, self.names(video), f"{video}.json", self._made_with(source))

    def _made_with(self, source: Source) -> dict[str, Any]:
        return {
            **checkpoint_settings(self.options.checkpoint),
            **self.options.described(),
            "merge_threshold": self._merging(),
            "least_duration": self.options.min_duration or 0.0,
            "renamed": new_names(self.own, self.classes),
            "stride": self.stride,
            **source_settings(source),
        }

    def _merging(self) -> float:
        given = self.options.merge_threshold
        return self.config.test.tube_nms if given is None else given

    def annotate(self, name: str, source: Source, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line."""
        labels = list(self.classes.values())
        with staged_results(self.path, "demo") as folder:
            stop.at_once = True
            size, linked = self._detect(name, source)
            tubes, note = linked.tubes, ""
            if self.options.video:
                note = self._draw(folder / f"{name}_detected.mp4", source, tubes)
            write_tubes(folder / f"{name}.csv", [(0, linked)], [name], labels, first_frame(source))
            document = self._document(name, source, size, tubes)
            write_document(document, folder / f"{name}.json")
            if self.options.report:
                write_found_page(
                    folder / f"{name}.html", source, document, self.classes, self.options, stop
                )
            stop.at_once = False
        found = describe_tubes(tubes, labels)
        drawn = ["_detected.mp4"] * self.options.video
        page = [".html"] * self.options.report
        files = f"{self.path / name}{', '.join([*drawn, '.csv', '.json', *page])}"
        print(printable(f"{name}: {found}: {files}"), flush=True)
        if note:
            print(printable(f"{name}: {note}"), file=sys.stderr)
        if short := self._too_short(len(source)):
            print(printable(f"{name}: {short}"), file=sys.stderr)
        elif not len(tubes):
            tell_nothing(name, self.options)
        return found

    def _too_short(self, frames: int) -> str:
        """Why a video of so many frames can have no tube; empty if it can."""
        length, least = self.config.model.clip_steps, self.config.test.least_length
        if frames < length:
            return f"{frames} frames are less than a clip of {length}, so there are no tubes"
        if frames < least:
            return (
                f"{frames} frames are less than the {least} of the shortest tube "
                "(test.least_length), so there are no tubes"
            )
        return ""

    def answer(self, name: str, source: Source) -> Answer:
        """Return what is found in a video, of which nothing is written."""
        size, linked = self._detect(name, source)
        document = self._document(name, source, size, linked.tubes)
        labels, first = list(self.classes.values()), first_frame(source)
        return Answer(
            document,
            {
                ".html": lambda path: write_found_page(
                    path, source, document, self.classes, self.options
                ),
                ".csv": lambda path: write_tubes(path, [(0, linked)], [name], labels, first),
                ".mp4": lambda path: self._draw(path, source, linked.tubes),
            },
        )

    def _document(
        self, name: str, source: Source, size: tuple[int, int], tubes: Tubes
    ) -> dict[str, Any]:
        return tube_document(
            video=name,
            size=size,
            times=[float(time) for time in source.times],
            fps=float(source.fps),
            first=first_frame(source),
            tubes=tubes,
            classes=self.classes,
            settings=self._made_with(source),
        )

    def _frames(self, source: Source) -> Iterator[TimedFrame]:
        return each_within(source.frames(), str(source.path), self.options.step_limit or STEP_LIMIT)

    def _detect(self, name: str, source: Source) -> tuple[tuple[int, int], LinkedTubes]:
        """Return the size of the video's frames, and its tubes above the score that is shown."""
        config, count = self.config, len(source)
        images = (frame.image for frame in self._frames(source))
        first = next(images, None)
        if first is None:
            raise ValueError(f"{source.path}: no frame decodes")
        height, width = first.shape[:2]
        # A frame that is announced and never comes is taken to be the one before it.
        whole = islice(_repeating(chain([first], images)), count)
        model, rules = config.model, tube_rules(config.test, self.stride)
        method = None if model.inputs == "rgb" else make_method(FlowSettings())
        seen = frame_inputs(
            whole, config.data.image_size, model.inputs, model.flow_channels, method
        )
        nothing = np.zeros(0, np.int64)
        truth = FrameBoxes(nothing, nothing, nothing, np.zeros(0), np.zeros((0, 4)))
        classes = len(self.classes)
        results = CollectedVideo(truth, count, model.clip_steps, model.steps, classes, rules)
        bar = tqdm(
            seen, total=count, desc=printable(name), unit="frame", leave=False, disable=hides_bars()
        )
        device = self.scorer.streams[0].device
        at_once = portions(config.test.frame_batch, config.test.test_batch_size, device)
        chunks = _chunks(iter(bar), at_once.frames)
        for steps in detect_in_video(
            self.scorer, chunks, count, height, width, self.stride, at_once.clips
        ):
            results.add(steps)
        return (height, width), self._shown(results.finish().trimmed, float(source.fps))

    def _shown(self, linked: LinkedTubes, fps: float) -> LinkedTubes:
        """The tubes that survive suppression, count, score high enough and last long enough."""
        tubes = linked.tubes
        kept = suppress_tubes(tubes, self._merging())
        kept = kept[tubes.score[kept] > self.choice.limits()[tubes.label[kept]]]
        seconds = (tubes.last - tubes.start + 1)[kept] / fps
        kept = kept[seconds + 1e-9 >= (self.options.min_duration or 0)]
        rows = [np.arange(tubes.ends[tube], tubes.ends[tube + 1]) for tube in kept]
        scores = linked.row_scores[np.concatenate([np.zeros(0, np.int64), *rows])]
        return LinkedTubes(tubes[kept], scores)

    def _draw(self, path: Path, source: Source, tubes: Tubes) -> str:
        """Write the video with its tubes; return a remark on its sound, usually empty."""
        shown = persons_by_frame(tubes, len(source))
        names = short_names(list(self.classes.values()))
        sound, side = open_sound(source, self.options.step_limit), self.options.max_side
        drawn = (
            TimedFrame(f.time, draw_shrunk(f.image, shown[at(source, f)], names, side))
            for f in self._frames(source)
        )
        rewrite(path, source, drawn, sound)
        return sound.problem if sound is not None else ""


def at(source: Source, frame: TimedFrame) -> int:
    """The place of a frame in its video, from 0."""
    return min(bisect_left(source.times, frame.time), len(source) - 1)


def _repeating(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """All images, and then the last one for ever."""
    last = None
    for last in images:
        yield last
    if last is not None:
        yield from repeat(last)


def _chunks(images: Iterator[np.ndarray], size: int) -> Iterator[Sequence[Tensor]]:
    while part := list(islice(images, size)):
        yield [torch.from_numpy(np.stack(part))]


def open_tube_results(checkpoint: Checkpoint, options: DemoOptions) -> TubeResults:
    """Return what finds tubes with a checkpoint, and writes them as `options` say.

    Raises:
        ValueError: Naming the option that does not fit the detector.
    """
    config = checkpoint.config
    count, length = config.model.num_classes, config.model.clip_steps
    if options.stride is not None and options.stride > length:
        raise ValueError(
            f"--stride: expected 1 to {length}, the frames of a clip, so that clips can be linked; "
            f"got {options.stride}"
        )
    check_rules(config, count)
    device = torch.device(options.chosen_device())
    stream = open_stream(config, checkpoint.build(), device)
    own, shown = class_names(checkpoint), shown_names(checkpoint, options.rename)
    choice = options.chosen_labels(own, shown)
    if choice is None:
        choice = LabelChoice([options.score_threshold] * count)
    scorer = ClipScorer([stream])
    return TubeResults(scorer, config, shown, own, choice, options, options.stride or 1)


def own_videos(checkpoint: Checkpoint) -> Path:
    """Return the folder of the held-out videos of the dataset that the detector was trained on."""
    data = with_run_data(checkpoint.config, checkpoint.path).data
    return data.folder / "held_out"


def differs(fps: Fraction | float, trained: float) -> bool:
    """Whether a rate is further from that of the training videos than a quarter of it."""
    return not 0.75 * trained <= float(fps) <= 1.25 * trained


def demo_notes(checkpoint: Checkpoint, found: Sources) -> list[str]:
    """Return what the user should know before the videos in `found` are shown, a line each."""
    notes, inputs = [], checkpoint.config.model.inputs
    if inputs != "rgb":
        notes.append(
            "note: the flow is computed by DIS; a detector trained on other flow may find less"
        )
    rate = checkpoint.config.data.fps
    others = {name: float(s.fps) for name, s in found.opened.items() if differs(s.fps, rate)}
    for name, fps in others.items():
        notes.append(
            f"note: {name} has {fps:g} frames a second, the training videos had {rate:g}: its "
            "motions look faster or slower"
        )
    names = set((checkpoint.classes or {}).values())
    own = real_path(own_videos(checkpoint).parent)
    elsewhere = any(not real_path(s.path).is_relative_to(own) for s in found.opened.values())
    if names and names <= {action.name for action in ACTIONS} and elsewhere:
        notes.append(
            "note: this checkpoint was trained on toy videos and knows drawn figures only; on "
            "other videos its tubes mean nothing"
        )
    return notes
