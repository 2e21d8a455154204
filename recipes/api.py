"""Detecting from Python: `open_detector("FILE.pt")("video.mp4")`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.video.file import TimedFrame
from data.video.part import Source, VideoPart, whole_video
from data.video.rewrite import rewrite
from data.video.windows import VideoFile, key_times, open_source
from models import open_checkpoint
from recipes.annotate import annotate_video
from recipes.demo_options import DemoOptions
from recipes.person_results import MOST_STEPS, RATE, PersonResults
from recipes.report_film import write_film
from utils.formats.cvat_video import write_cvat
from utils.formats.person_records import Record, records_of, write_jsonl, write_parquet
from utils.formats.person_results import PersonEntry, SeenFrame, as_results
from utils.formats.via3_project import write_via3
from utils.reporting.action_spans import PersonHistory, person_histories
from utils.reporting.drawing import short_names
from utils.reporting.person_files import VideoPersons, results_document, write_csv, write_json
from utils.reporting.person_track import PersonTrack
from utils.reporting.report.page import write_report
from utils.reporting.shrinking import draw_shrunk
from utils.system.interrupt import StopSignals
from utils.system.outputs import check_new_file


@dataclass(frozen=True)
class Segment:
    """An action of a person from `start` to `end` [s]; `score` is the mean where it was seen."""

    person: int
    id: int
    name: str
    start: float
    end: float
    score: float


class VideoAnswers:
    """Who did what, where and when in a video.

    Iterating gives the key frames in order of time. Boxes are in pixels, times in seconds.

    Attributes:
        data: Everything, as in the demo's JSON.
        persons: Each person's entry, by number.
        key_frames: In order of time.
    """

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
        self.data = as_results(document, video.name)

    @property
    def persons(self) -> list[PersonEntry]:
        return self.data.persons

    @property
    def key_frames(self) -> list[SeenFrame]:
        return self.data.key_frames

    @property
    def segments(self) -> list[Segment]:
        """The lasting actions of all persons, by start."""
        found = [
            Segment(entry.person, a.id, a.name, a.start, a.end, a.score)
            for entry in self.persons
            for a in entry.actions
        ]
        return sorted(found, key=lambda segment: (segment.start, segment.person))

    def __iter__(self) -> Iterator[SeenFrame]:
        return iter(self.key_frames)

    def __len__(self) -> int:
        return len(self.key_frames)

    def to_records(self) -> list[Record]:
        """Return a plain dict for each action of each person on each key frame."""
        return records_of(self.data)

    def to_supervision(self, frame: int) -> Any:
        """Return the persons of key frame number `frame` of the video as `supervision.Detections`.

        The class is a person's best action; all are in `data["actions"]`.

        Raises:
            ValueError: The frame is no key frame.
            ImportError: The package `supervision` is not installed.
        """
        import numpy as np
        import supervision

        found = next((key for key in self.key_frames if key.frame == frame), None)
        if found is None:
            raise ValueError(f"frame {frame} is no key frame of {self.data.video}")
        persons = found.persons
        if not persons:
            return supervision.Detections.empty()
        return supervision.Detections(
            xyxy=np.array([person.box for person in persons], np.float32),
            confidence=np.array([p.actions[0].score if p.actions else 0 for p in persons]),
            class_id=np.array([p.actions[0].id if p.actions else 0 for p in persons]),
            tracker_id=np.array([person.person for person in persons]),
            data={"actions": [[a.name for a in person.actions] for person in persons]},
        )

    def save(self, path: str | Path, force: bool = False) -> None:
        """Write the results in the form that the path's ending names.

        `.csv` AVA's columns, `.json` everything, `.jsonl` a line for each key frame, `.parquet` the
        records (needs pyarrow), `.xml` CVAT, `.via.json` VIA 3, `.html` the report, `.mp4` the
        video with boxes.

        Args:
            path: A new file.
            force: Replace a file that is there.

        Raises:
            ValueError: Naming the path, for another ending or a file that is there.
        """
        path = Path(path)
        writers = self._writers()
        ending = next((e for e in writers if path.name.lower().endswith(e)), None)
        if ending is None:
            raise ValueError(f"{path}: expected a name that ends with {', '.join(writers)}")
        check_new_file(path, force)
        writers[ending](path)

    def _writers(self) -> dict[str, Any]:
        """What writes a file, by its ending; the longer of two endings first."""
        video, classes, by = self._video, self._by.classes, self._by
        name = self._source.path.name
        return {
            ".via.json": lambda path: write_via3(self.data, path, name, self._start()),
            ".json": lambda path: write_json(video, self._histories, classes, by.described(), path),
            ".jsonl": lambda path: write_jsonl(self.data, path),
            ".csv": lambda path: write_csv(video, classes, path),
            ".parquet": lambda path: write_parquet(self.to_records(), path),
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


def open_detector(checkpoint: str | Path, **options: Any) -> VideoDetector:
    """Open a checkpoint of STEP to detect persons in videos.

    Args:
        checkpoint: A file of a training, or of the authors' release.
        options: Of the demo, as `DemoOptions` has them: `score_threshold`, `stride`, `device`, ...

    Raises:
        ValueError: Naming the file, if it is no checkpoint of a detector of persons.
    """
    from recipes import RECIPES

    path = Path(checkpoint)
    opened = open_checkpoint(path)
    detector = opened.config.detector
    if not RECIPES[detector].numbers_persons:
        raise ValueError(f"{path}: expected a detector of persons, this is one of {detector}")
    wanted = replace(DemoOptions(path, Path()), **options)
    results = RECIPES[detector].open_results(opened, wanted)
    assert isinstance(results, PersonResults)
    return VideoDetector(results)
