"""STEP's demo on tubes: a video's tubes drawn on it, and as tables.

A tube's score and ends are known when its video is over, so the video is decoded twice: once to
detect, and once to draw.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from data.frame_inputs import frame_inputs
from data.prepare.flow import FlowSettings, make_method
from data.toy.tube_scenes import ACTIONS
from data.video.file import TimedFrame
from data.video.inputs import Sources
from data.video.sound import Sound
from data.video.windows import FrameFolder, VideoFile, pixel_aspect
from data.video.writer import clock_of, rate_of, write_timed
from external.act_evaluation import FrameBoxes, Tubes, suppress_tubes
from external.files import real_path
from models.step.frame_detector import FrameDetector
from models.weights.checkpoint import LoadedCheckpoint
from recipes.demo_options import DemoOptions
from recipes.tube_streaming import ClipScorer, detect_in_video
from recipes.tube_testing import check_rules, open_stream, tube_rules
from utils.config.step_tubes import TubesConfig
from utils.evaluation.tube_files import write_tubes
from utils.evaluation.tube_results import VideoResults as CollectedVideo
from utils.geometry.linking import LinkedTubes
from utils.reporting.drawing import draw_persons, short_names
from utils.reporting.tube_reports import describe_tubes, persons_by_frame, write_tube_json
from utils.runs.settings import with_run_data
from utils.system.interrupt import StopSignals
from utils.system.staging import staged_results
from utils.system.stall import STEP_LIMIT, each_within
from utils.system.terminal import printable

Source = FrameFolder | VideoFile
Checkpoint = LoadedCheckpoint[TubesConfig, FrameDetector]


@dataclass
class TubeResults:
    """A folder of videos with tubes; see `recipes.annotate_files.VideoResults`.

    Attributes:
        config: Of the detector.
        classes: Id to name.
        options: Of the demo.
        stride: Frames from clip to clip.
    """

    path: Path
    scorer: ClipScorer
    config: TubesConfig
    classes: dict[int, str]
    options: DemoOptions
    stride: int

    def names(self, video: str) -> list[str]:
        """Return the files that the results of a video are."""
        return [f"{video}_detected.mp4", f"{video}.csv", f"{video}.json"]

    def annotate(self, name: str, source: Source, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line."""
        labels = list(self.classes.values())
        with staged_results(self.path, "demo") as folder:
            stop.at_once = True
            size, linked = self._detect(name, source)
            tubes = linked.tubes
            note = self._draw(folder / f"{name}_detected.mp4", source, tubes)
            stop.at_once = False
            write_tubes(folder / f"{name}.csv", linked, [name], labels)
            times = [float(time) for time in source.times]
            settings = {"score_threshold": self.options.score_threshold, "stride": self.stride}
            write_tube_json(
                folder / f"{name}.json", name, size, times, tubes, self.classes, settings
            )
        found = describe_tubes(tubes, labels)
        files = f"{self.path / name}_detected.mp4, .csv, .json"
        print(printable(f"{name}: {found}: {files}"), flush=True)
        if note:
            print(printable(f"{name}: {note}"), file=sys.stderr)
        return found

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
        bar = tqdm(seen, total=count, desc=printable(name), unit="frame", leave=False, disable=None)
        chunks = _chunks(iter(bar), config.test.frame_batch)
        batch = config.test.test_batch_size
        for steps in detect_in_video(self.scorer, chunks, count, height, width, self.stride, batch):
            results.add(steps)
        return (height, width), self._shown(results.finish().trimmed)

    def _shown(self, linked: LinkedTubes) -> LinkedTubes:
        """The tubes that survive suppression and score high enough."""
        threshold = self.options.merge_threshold
        threshold = self.config.test.tube_nms if threshold is None else threshold
        kept = suppress_tubes(linked.tubes, threshold)
        kept = kept[linked.tubes.score[kept] > self.options.score_threshold]
        tubes = linked.tubes
        rows = [np.arange(tubes.ends[tube], tubes.ends[tube + 1]) for tube in kept]
        scores = linked.row_scores[np.concatenate([np.zeros(0, np.int64), *rows])]
        return LinkedTubes(tubes[kept], scores)

    def _draw(self, path: Path, source: Source, tubes: Tubes) -> str:
        """Write the video with its tubes; return what is to be said of its sound."""
        shown = persons_by_frame(tubes, len(source))
        names = short_names(list(self.classes.values()))
        sound = None
        if isinstance(source, VideoFile):
            limit = self.options.step_limit or STEP_LIMIT
            sound = Sound(source.path, source.start, limit)
        drawn = (
            TimedFrame(frame.time, draw_persons(frame.image, shown[at(source, frame)], names))
            for frame in self._frames(source)
        )
        clock, rate = clock_of(source.times), rate_of(source.times, source.fps)
        write_timed(path, drawn, clock, rate, pixel_aspect(source), sound)
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
    classes = checkpoint.classes or {i: f"class {i}" for i in range(1, count + 1)}
    scorer = ClipScorer([stream])
    return TubeResults(options.output, scorer, config, classes, options, options.stride or 1)


def own_videos(checkpoint: Checkpoint) -> Path:
    """Return the folder of the held-out videos of the dataset that the detector was trained on."""
    data = with_run_data(checkpoint.config, checkpoint.path).data
    return data.folder / "held_out"


def demo_notes(checkpoint: Checkpoint, found: Sources) -> list[str]:
    """Return what the user should know before the videos in `found` are shown, a line each."""
    notes, inputs = [], checkpoint.config.model.inputs
    if inputs != "rgb":
        notes.append(
            "note: the flow is computed by DIS; a detector trained on other flow may find less"
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
