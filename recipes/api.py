"""Detecting from Python: `open_detector("FILE.pt")("video.mp4")`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.video.file import TimedFrame
from data.video.part import Source, VideoPart, whole_video
from data.video.rewrite import rewrite
from data.video.windows import VideoFile, key_times, open_source
from models import open_checkpoint
from recipes.annotate import annotate_video
from recipes.answers import Answers, Writer
from recipes.demo_options import DemoOptions
from recipes.person_results import MOST_STEPS, RATE, PersonResults
from recipes.report_film import write_film
from recipes.results_files import AnsweringResults
from utils.formats.cvat_video import write_cvat
from utils.formats.person_records import write_jsonl, write_parquet
from utils.formats.person_results import as_results
from utils.formats.via3_project import write_via3
from utils.reporting.action_spans import PersonHistory, person_histories
from utils.reporting.drawing import short_names
from utils.reporting.person_files import (
    VideoPersons,
    results_document,
    write_csv,
    write_document,
    write_json,
)
from utils.reporting.person_track import PersonTrack
from utils.reporting.report.page import write_report
from utils.reporting.shrinking import draw_shrunk
from utils.system.interrupt import StopSignals


class VideoAnswers(Answers):
    """Which persons did what, where and when in a video."""

    def __init__(
        self,
        video: VideoPersons,
        histories: list[PersonHistory],
        found_by: PersonResults,
        source: Source,
    ) -> None:
        """Take what was found, by what, in which video."""
        self._video, self._histories = video, histories
        self._by, self._source = found_by, source
        document = results_document(video, histories, found_by.classes, found_by.described())
        super().__init__(as_results(document, video.name), self._writers)

    def _writers(self) -> dict[str, Writer]:
        """What writes a file, by its ending; the longer of two endings first."""
        video, classes, by = self._video, self._by.classes, self._by
        name = self._source.path.name
        return {
            ".via.json": lambda path: write_via3(self.data, path, name, self._start()),
            ".json": lambda path: write_json(video, self._histories, classes, by.described(), path),
            ".jsonl": lambda path: write_jsonl(self.data, path),
            ".csv": lambda path: write_csv(video, classes, path),
            ".parquet": lambda path: write_parquet(self.data, path),
            ".xml": lambda path: write_cvat(self.data, path, name),
            ".html": self._write_html,
            ".mp4": self._write_mp4,
        }

    def _start(self) -> float:
        """Time of the first frame in a player [s]."""
        video = whole_video(self._source)
        return float(video.start) if isinstance(video, VideoFile) else 0.0

    def _names(self) -> list[str]:
        return short_names(list(self._by.classes.values()))

    def _write_html(self, path: Path) -> None:
        film_path = path.with_name(f"{path.stem}_report.mp4")
        with StopSignals() as stop:
            film = write_film(self._source, film_path, self._by.options.step_limit, stop)
        threshold = self._by.settings["score_threshold"]
        write_report(path, self._video, self._histories, self._names(), threshold, film)
        if film is not None and film.embedded:
            film_path.unlink()

    def _write_mp4(self, path: Path) -> None:
        source, names = self._source, self._names()
        longest = self._by.options.max_side
        track = PersonTrack(self._video.key_frames)
        frames = (
            TimedFrame(f.time, draw_shrunk(f.image, track.at(float(f.time)), names, longest))
            for f in source.frames()
        )
        rewrite(path, source, frames)


class VideoDetector:
    """Finds the persons of videos."""

    def __init__(self, found_by: PersonResults) -> None:
        """Take the detector and what its results are made with."""
        self._by = found_by

    def __call__(self, video: str | Path, source_fps: float = 30) -> VideoAnswers:
        """Detect in a video.

        Args:
            video: A video file, or a folder of frames taken at `source_fps`.
            source_fps: Frames a second of a folder.

        Raises:
            ValueError: Naming the video, if it cannot be read.
        """
        by, source = self._by, _open(video, source_fps, self._by.options)
        options = by.options
        found = annotate_video(
            annotator=by.annotator,
            name=source.path.stem,
            source=source,
            stride=options.stride or key_times(source.times, RATE),
            names=[],
            path=None,
            step_limit=options.step_limit,
            follow=options.follow,
            most_steps=MOST_STEPS,
        ).video
        histories = person_histories(found.key_frames, found.end, options.span_rules())
        return VideoAnswers(found, histories, by, source)


def _open(video: str | Path, source_fps: float, options: DemoOptions) -> Source:
    """Open a video, and of it the part that is asked for."""
    source = open_source(video, source_fps)
    if options.start is None and options.end is None:
        return source
    return VideoPart(source, options.start, options.end)


class ClassDetector:
    """Finds the tubes or segments of videos."""

    def __init__(self, found_by: AnsweringResults, options: DemoOptions) -> None:
        """Take the detector, and what it is asked for."""
        self._by, self._options = found_by, options

    def __call__(self, video: str | Path, source_fps: float = 30) -> Answers:
        """Detect in a video; see `VideoDetector`."""
        source = _open(video, source_fps, self._options)
        name = source.path.stem
        answer = self._by.answer(name, source)
        data = as_results(answer.document, name)
        shared: dict[str, Writer] = {
            ".json": lambda path: write_document(answer.document, path),
            ".jsonl": lambda path: write_jsonl(data, path),
            ".parquet": lambda path: write_parquet(data, path),
        }
        return Answers(data, lambda: {**shared, **answer.writers})


def open_detector(checkpoint: str | Path, **options: Any) -> Callable[..., Answers]:
    """Open a checkpoint, to detect in videos.

    What is returned takes a video file, or a folder of frames and their `source_fps`.

    Args:
        checkpoint: A file of a training, or of the authors' release.
        options: Of the demo, as `DemoOptions` has them: `score_threshold`, `stride`, `device`, ...

    Raises:
        ValueError: Naming the file, if it is no checkpoint, or the option that does not fit it.
    """
    from recipes import RECIPES

    path = Path(checkpoint)
    opened = open_checkpoint(path)
    wanted = replace(DemoOptions(path, Path()), **options)
    recipe = RECIPES[opened.config.detector]
    if not recipe.numbers_persons:
        wanted.check_no_persons(f"{path}, a {opened.config.detector} detector,")
    results = recipe.open_results(opened, wanted)
    if isinstance(results, PersonResults):
        return VideoDetector(results)
    assert isinstance(results, AnsweringResults)
    return ClassDetector(results, wanted)
