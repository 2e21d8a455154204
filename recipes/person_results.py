"""STEP's demo: the persons of a video drawn on it, and as tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.video.part import Source
from data.video.stream import StreamTimes
from data.video.windows import key_times
from models import StepDetector
from models.weights.checkpoint import LoadedCheckpoint
from recipes.annotate import Annotator, annotate_video
from recipes.demo_classes import class_names, new_names, shown_names
from recipes.demo_options import DemoOptions
from recipes.person_detector import PersonDetector, open_person_detector
from recipes.report_film import report_names, write_page
from recipes.results_files import checkpoint_settings, is_done, source_settings, tell_nothing
from utils.config.step import Config
from utils.reporting.action_spans import (
    PersonHistory,
    describe_history,
    person_histories,
)
from utils.reporting.drawing import short_names
from utils.reporting.person_files import (
    VideoPersons,
    describe_persons,
    is_whole,
    result_names,
    write_csv,
    write_json,
)
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
        classes: Id to name, as they are shown.
        settings: What the JSON files say of how they were made, besides the stride.
        options: Of the demo.
    """

    annotator: Annotator
    classes: dict[int, str]
    settings: dict[str, Any]
    options: DemoOptions

    @property
    def path(self) -> Path:
        """Return the folder."""
        return self.options.output

    def names(self, video: str) -> list[str]:
        """Return the names of the files that a video's results are."""
        report = report_names(video) if self.options.report else []
        return result_names(video)[0 if self.options.video else 1 :] + report

    def is_done(self, video: str, source: Source) -> bool:
        """Whether all files of a video are there, whole, and made in the same way."""
        return is_done(self.path, self.names(video), f"{video}.json", self._made_with(source))

    def annotate(self, name: str, source: Source, stop: StopSignals) -> str:
        """Write a video's results; return what was found, in a line.

        Raises:
            Interrupted: A signal came. What is detected so far is on disk, except where the whole
                results of an earlier call are.
        """
        options, path = self.options, self.path
        names = short_names(list(self.classes.values()))
        with staged_results(path, "demo") as folder:
            stop.at_once = True
            video, times, note = annotate_video(
                annotator=self.annotator,
                name=name,
                source=source,
                stride=options.stride or key_times(source.times, RATE),
                names=names,
                path=folder / f"{name}_detected.mp4" if options.video else None,
                step_limit=options.step_limit,
                follow=options.follow,
                most_steps=MOST_STEPS if options.report else 0,
                longest_side=options.max_side,
            )
            stop.at_once = False  # what is detected is to be written
            if video.partial and is_whole(path / f"{name}.json"):
                raise Interrupted(stop.signum, f"interrupted; earlier results of {name} stay")
            histories = person_histories(video.key_frames, video.end, options.span_rules())
            write_csv(video, self.classes, folder / f"{name}.csv")
            made_with = self._made_with(source)
            write_json(video, histories, self.classes, made_with, folder / f"{name}.json")
            if options.report:
                self._write_report(video, histories, source, folder, stop)
        self._tell(video, times, stop)
        self._tell_persons(histories, names)
        if note:
            print(printable(f"{name}: {note}"), file=sys.stderr)
        if not histories:
            tell_nothing(name, options)
        return describe_persons(video)

    def described(self) -> dict[str, Any]:
        """Return how the results are made, as the JSON says it."""
        every: dict[str, Any] = (
            {"stride": self.options.stride}
            if self.options.stride
            else {"key_frames_per_second": RATE}
        )
        return {**every, **self.settings}

    def _made_with(self, source: Source) -> dict[str, Any]:
        return {**self.described(), **source_settings(source)}

    def _write_report(
        self,
        video: VideoPersons,
        histories: Sequence[PersonHistory],
        source: Source,
        folder: Path,
        stop: StopSignals,
    ) -> None:
        names = short_names(list(self.classes.values()))
        path = folder / report_names(video.name)[0]
        write_page(path, source, video, histories, names, self.options, stop)

    def _tell(self, video: VideoPersons, times: StreamTimes | None, stop: StopSignals) -> None:
        """Print what was found and where it is; raise `Interrupted` with that if a signal came."""
        name = video.name
        files = (
            ["_detected.mp4"] * self.options.video
            + [".csv", ".json"]
            + [".html"] * self.options.report
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
    own, shown = class_names(checkpoint), shown_names(checkpoint, options.rename)
    spans = options.span_rules()
    settings: dict[str, Any] = {
        **checkpoint_settings(options.checkpoint),
        **options.described(),
        "merge_threshold": merging(options),
        "gap": options.follow.patience,
        "confirm": options.follow.confirm,
        "smoothing": spans.smoothing,
        "least_duration": spans.least_duration,
        "renamed": new_names(own, shown),
    }
    return PersonResults(annotator, shown, settings, options)


def open_finder(
    checkpoint: LoadedCheckpoint[Config, StepDetector], options: DemoOptions
) -> PersonDetector:
    """Return what finds persons with a checkpoint, as `options` say."""
    own, shown = class_names(checkpoint), shown_names(checkpoint, options.rename)
    return open_person_detector(
        checkpoint,
        options.chosen_device(),
        options.score_threshold,
        merging(options),
        options.chosen_labels(own, shown),
    )


def merging(options: DemoOptions) -> float:
    """Return the IoU above which boxes become one person."""
    return MERGE_THRESHOLD if options.merge_threshold is None else options.merge_threshold
