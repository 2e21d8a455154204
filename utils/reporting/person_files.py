"""The demo's results as files: what was detected in a video, as AVA-style CSV and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from external.files import read_json
from utils.formats.ava_csv import as_text, quote_cell
from utils.formats.person_results import VERSION
from utils.reporting.action_spans import PersonHistory
from utils.reporting.person_track import KeyFrame
from utils.reporting.persons import Person


@dataclass
class VideoPersons:
    """Everything detected in one video of `height x width` pixels; boxes are in those pixels.

    Attributes:
        key_frames: In order of time.
        partial: It was stopped before the video's end.
        start, end: Of the part that was looked at [s], the last frame included.
    """

    name: str
    height: int
    width: int
    fps: float
    key_frames: list[KeyFrame] = field(default_factory=list)
    partial: bool = False
    start: float = 0.0
    end: float = 0.0

    def most_persons(self) -> int:
        """The largest number of persons on one key frame."""
        return max((len(key.persons) for key in self.key_frames), default=0)

    def keep_until(self, time: float) -> None:
        """Drop the key frames after `time` [s]: the video ends there."""
        self.key_frames = [key for key in self.key_frames if key.time <= time]


def result_names(name: str) -> list[str]:
    """Return the files that the results of a video are: pictures, rows, and all that is known."""
    return [f"{name}_detected.mp4", f"{name}.csv", f"{name}.json"]


def describe_persons(video: VideoPersons) -> str:
    """Return in words how many persons were found, and on how many key frames was looked."""
    most, frames = video.most_persons(), len(video.key_frames)
    persons = {0: "nobody found", 1: "one person at a time"}.get(
        most, f"up to {most} persons at a time"
    )
    numbers = {person.number for key in video.key_frames for person in key.persons}
    if len(numbers) > 1:
        persons += f", {len(numbers)} in all"
    return f"{persons}, {frames} key frame{'s' if frames > 1 else ''}"


def write_csv(video: VideoPersons, classes: Mapping[int, str], path: Path) -> None:
    """Rows `video,seconds,x1,y1,x2,y2,class id,score`, boxes as fractions; no header.

    A row for each label of each person.

    Args:
        classes: Id to name, ascending ids.
    """
    ids, name = list(classes), quote_cell(as_text(video.name))
    rows = []
    for key in video.key_frames:
        for person in key.persons:
            box = ",".join(
                f"{value:.6f}" for value in box_fractions(person.box, video.height, video.width)
            )
            for label, score in person.labels:
                rows.append(f"{name},{key.time:.3f},{box},{ids[label]},{score:.6f}\n")
    path.write_text("".join(rows), encoding="utf-8")


def is_whole(path: Path) -> bool:
    """Whether `path` holds the results of a whole video, as `write_json` writes them."""
    if not path.is_file():
        return False
    content = read_json(path)
    return isinstance(content, dict) and content.get("partial") is False


def write_json(
    video: VideoPersons,
    histories: Sequence[PersonHistory],
    classes: Mapping[int, str],
    settings: Mapping[str, Any],
    path: Path,
) -> None:
    """Write `results_document` as JSON."""
    write_document(results_document(video, histories, classes, settings), path)


def write_document(document: Mapping[str, Any], path: Path) -> None:
    """Write a document as JSON."""
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def document_head(
    video: str, partial: bool, size: tuple[int, int], fps: float, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the members with which the results of every detector begin.

    Args:
        video: The name.
        partial: It was stopped before the video's end.
        size: Height and width [pixels].
        fps: Frames a second on average.
        settings: How the results were made.
    """
    return {
        "version": VERSION,
        "video": as_text(video),
        "partial": partial,
        "width": size[1],
        "height": size[0],
        "fps": round(fps, 6),
        **settings,
    }


def results_document(
    video: VideoPersons,
    histories: Sequence[PersonHistory],
    classes: Mapping[int, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The video's size and rate, `settings`, its persons, and for each key frame who is on it.

    `partial` is true if the demo was stopped before the video's end. One of `persons` has its
    `person` number, when it was seen [s], and `actions` with `start`, `end`, and mean `score`. One
    on a key frame has the same number, `box` in pixels, `box_fraction`, and `actions`, each with
    `id`, `name`, `score`. `cuts` are the times of scene cuts. `segments` are the actions of all
    persons, by start.
    """
    items = list(classes.items())
    size = (video.height, video.width)
    persons = [_history(history, items) for history in histories]
    segments = [{**action, "person": p["person"]} for p in persons for action in p["actions"]]
    return {
        **document_head(video.name, video.partial, size, video.fps, settings),
        "cuts": [round(key.cut, 6) for key in video.key_frames if key.cut is not None],
        "persons": persons,
        "segments": sorted(segments, key=lambda one: (one["start"], one["person"])),
        "key_frames": [
            key_frame_record(key, video.height, video.width, classes) for key in video.key_frames
        ],
    }


def key_frame_record(
    key: KeyFrame, height: int, width: int, classes: Mapping[int, str]
) -> dict[str, Any]:
    """Return a key frame as JSON has it.

    Args:
        key: The key frame, with boxes in pixels.
        height: Of the frame [pixels].
        width: Of the frame [pixels].
        classes: Id to name, ascending ids.
    """
    items = list(classes.items())
    return {
        "frame": key.frame,
        "time": round(key.time, 6),
        "persons": [_person(person, height, width, items) for person in key.persons],
    }


def _history(history: PersonHistory, items: Sequence[tuple[int, str]]) -> dict[str, Any]:
    return {
        "person": history.number,
        "start": round(history.start, 6),
        "end": round(history.end, 6),
        "key_frames": history.key_frames,
        "actions": [
            {
                "id": items[span.label][0],
                "name": items[span.label][1],
                "start": round(span.start, 6),
                "end": round(span.end, 6),
                "score": round(span.score, 6),
            }
            for span in history.spans
        ],
    }


def _person(
    person: Person, height: int, width: int, items: Sequence[tuple[int, str]]
) -> dict[str, Any]:
    return {
        "person": person.number,
        "box": [round(value, 2) for value in person.box],
        "box_fraction": [round(value, 6) for value in box_fractions(person.box, height, width)],
        "actions": [
            {"id": items[label][0], "name": items[label][1], "score": round(score, 6)}
            for label, score in person.labels
        ],
    }


def box_fractions(box: Sequence[float], height: int, width: int) -> list[float]:
    return [v / size for v, size in zip(box, (width, height) * 2, strict=True)]
