"""STEP's demo: the persons of a video drawn on it, and as tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.video.stream import StreamTimes
from data.video.windows import FrameFolder, VideoFile, key_times
from external.files import read_json
from models import StepDetector
from models.weights.checkpoint import LoadedCheckpoint
from recipes.annotate import Annotator, annotate_video
from recipes.demo_options import DemoOptions
from recipes.person_detector import PersonDetector, open_person_detector
from recipes.report_film import write_film
from utils.config.step import Config
from utils.geometry.following import FollowRules
from utils.reporting.action_spans import (
    PersonHistory,
    SpanRules,
    describe_history,
    person_histories,
)
from utils.reporting.drawing import short_names
from utils.reporting.label_choice import choose_labels
from utils.reporting.person_files import (
    VideoPersons,
    describe_persons,
    is_whole,
    result_names,
    write_csv,
    write_json,
)
from utils.reporting.report.page import write_report
from utils.system.interrupt import Interrupted, StopSignals
from utils.system.staging import staged_results
from utils.system.terminal import printable

RATE = 4
"""Detections a second where no stride is given: between them boxes are interpolated."""


@dataclass
class PersonResults:
    """A folder of annotated videos, and what they share.

    Attributes:
        annotator: Detects.
        classes: Id to name.
        settings: What the JSON files say of how they were made, besides the stride.
        stride: Frames between detections, `None` for `RATE` a second.
        step_limit: Seconds that reading a frame may take.
        follow, spans: See `DemoOptions`.
        most_steps: Key frames of a video whose steps are kept for its report; 0: there is no
            report.
        draws: Whether to write the video with what was found.
    """

    path: Path
    annotator: Annotator
    classes: dict[int, str]
    settings: dict[str, Any]
    stride: int | None
    step_limit: float
    follow: FollowRules
    spans: SpanRules
    most_steps: int = 0
    draws: bool = True

    def names(self, video: str) -> list[str]:
        """Return the names of the files that a video's results are."""
        report = [f"{video}.html", f"{video}_report.mp4"] if self.most_steps else []
        return result_names(video)[0 if self.draws else 1 :] + report

    def is_done(self, video: str) -> bool:
        """Whether all files of a video are there, whole, and made with the same settings."""
        if not all(
            (self.path / name).is_file() for name in self.names(video) if "_report" not in name
        ):
            return False
        path = self.path / f"{video}.json"
        if not is_whole(path):
            return False
        content, made_with = read_json(path), self.described()
        return {name: content.get(name) for name in made_with} == made_with

    def annotate(self, name: str, source: FrameFolder | VideoFile, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came. What is detected so far is on disk, except where the whole
                results of an earlier call are.
        """
        stride = self.stride or key_times(source.times, RATE)
        names = short_names(list(self.classes.values()))
        path, drawn = self.path, f"{name}_detected.mp4"
        with staged_results(path, "demo") as folder:
            stop.at_once = True
            video, times, note = annotate_video(
                annotator=self.annotator,
                name=name,
                source=source,
                stride=stride,
                names=names,
                path=folder / drawn if self.draws else None,
                step_limit=self.step_limit,
                follow=self.follow,
                most_steps=self.most_steps,
            )
            stop.at_once = False  # what is detected is to be written
            if video.partial and is_whole(path / f"{name}.json"):
                raise Interrupted(stop.signum, f"interrupted; earlier results of {name} stay")
            histories = person_histories(video.key_frames, video.end, self.spans)
            self._write_tables(video, histories, folder)
            if self.most_steps:
                self._write_report(video, histories, source, folder, stop)
        self._tell(video, times, stop)
        self._tell_persons(histories, names)
        if note:
            print(printable(f"{name}: {note}"), file=sys.stderr)
        return describe_persons(video)

    def _write_tables(
        self, video: VideoPersons, histories: Sequence[PersonHistory], folder: Path
    ) -> None:
        write_csv(video, self.classes, folder / f"{video.name}.csv")
        path = folder / f"{video.name}.json"
        write_json(video, histories, self.classes, self.described(), path)

    def described(self) -> dict[str, Any]:
        """Return how the results are made, as the JSON says it."""
        every: dict[str, Any] = (
            {"stride": self.stride} if self.stride else {"key_frames_per_second": RATE}
        )
        return {**every, **self.settings}

    def _write_report(
        self,
        video: VideoPersons,
        histories: Sequence[PersonHistory],
        source: FrameFolder | VideoFile,
        folder: Path,
        stop: StopSignals,
    ) -> None:
        """The page, and beside it the video if that is too large to be in it."""
        path = folder / f"{video.name}_report.mp4"
        film = None if video.partial else write_film(source, path, self.step_limit, stop)
        names = short_names(list(self.classes.values()))
        threshold = self.settings["score_threshold"]
        write_report(folder / f"{video.name}.html", video, histories, names, threshold, film)
        if film is not None and film.embedded:
            path.unlink()

    def _tell(self, video: VideoPersons, times: StreamTimes | None, stop: StopSignals) -> None:
        """Print what was found and where it is; raise `Interrupted` with that if a signal came."""
        name = video.name
        files = (
            ["_detected.mp4"] * self.draws + [".csv", ".json"] + [".html"] * bool(self.most_steps)
        )
        line = f"{describe_persons(video)}: {self.path / name}{', '.join(files)}"
        if times is None:
            until = video.key_frames[-1].time
            line = f"interrupted; partial results of {name}, to {until:.1f} s: {line}"
        if stop.signum:
            raise Interrupted(stop.signum, printable(line))
        print(printable(f"{name}: {line} ({times})"), flush=True)

    def _tell_persons(self, histories: Sequence[PersonHistory], names: Sequence[str]) -> None:
        """Print what each person did, those seen longest if there are many."""
        longest = sorted(histories, key=lambda history: history.start - history.end)[:MOST_TOLD]
        for history in sorted(longest, key=lambda history: history.number):
            print(printable(f"  {describe_history(history, names)}"), flush=True)
        if len(histories) > MOST_TOLD:
            print(f"  and {len(histories) - MOST_TOLD} more persons in the .json", flush=True)


MOST_TOLD = 10
"""Persons of a video of whom the demo prints what they did."""

MOST_STEPS = 200
"""Key frames of a video whose steps its report has: 34 boxes of 3 steps are some 1.6 kB each."""

MERGE_THRESHOLD = 0.5
"""IoU above which boxes become one person, where no other is given."""


def open_person_results(
    checkpoint: LoadedCheckpoint[Config, StepDetector], options: DemoOptions
) -> PersonResults:
    """Return what finds persons with a checkpoint, and writes them as `options` say."""
    annotator = open_finder(checkpoint, options)
    score, merge = options.score_threshold, merging(options)
    classes = class_names(checkpoint)
    settings: dict[str, Any] = {
        "checkpoint": options.checkpoint.name,
        "checkpoint_bytes": options.checkpoint.stat().st_size,
        "score_threshold": score,
        "merge_threshold": merge,
        "gap": options.follow.patience,
        "smoothing": options.spans.smoothing,
        "least_duration": options.spans.least_duration,
        "classes": sorted(options.classes),
        "thresholds": read_json(options.thresholds) if options.thresholds else {},
    }
    return PersonResults(
        options.output,
        annotator,
        classes,
        settings,
        options.stride,
        options.step_limit,
        options.follow,
        options.spans,
        MOST_STEPS if options.report else 0,
        options.video,
    )


def open_finder(
    checkpoint: LoadedCheckpoint[Config, StepDetector], options: DemoOptions
) -> PersonDetector:
    """Return what finds persons with a checkpoint, as `options` say."""
    score, choice = options.score_threshold, None
    if options.classes or options.thresholds is not None:
        names = class_names(checkpoint)
        choice = choose_labels(names, options.classes, options.thresholds, score)
        score = choice.lowest()
    return open_person_detector(
        checkpoint, options.chosen_device(), score, merging(options), choice
    )


def class_names(checkpoint: LoadedCheckpoint[Config, StepDetector]) -> dict[int, str]:
    """Return id to name of a checkpoint's classes; names of our own where it has none."""
    count = checkpoint.config.model.num_classes
    return checkpoint.classes or {i: f"class {i}" for i in range(1, count + 1)}


def merging(options: DemoOptions) -> float:
    """Return the IoU above which boxes become one person."""
    return MERGE_THRESHOLD if options.merge_threshold is None else options.merge_threshold
