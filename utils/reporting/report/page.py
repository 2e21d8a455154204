"""The report's page: a video's persons, their actions and the detector's steps, in one file."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from utils.formats.ava_csv import as_text
from utils.reporting.action_spans import PersonHistory
from utils.reporting.person_files import VideoPersons
from utils.reporting.person_track import KeyFrame, StepBoxes
from utils.reporting.report.columns import Columns
from utils.system.outputs import write_whole

HERE = Path(__file__).parent
SCRIPTS = ("data.js", "draw.js", "timeline.js", "table.js", "main.js")
FRACTION = 65535  # a box's fraction of 1
SCORE = 255  # the largest score: 1, or more


@dataclass(frozen=True)
class Film:
    """The video that a page shows.

    Attributes:
        path: A file that browsers play.
        embedded: Whether the page contains it; else it lies beside.
        pixel_aspect: Width of a pixel over its height.
    """

    path: Path
    embedded: bool
    pixel_aspect: float = 1.0


@dataclass(frozen=True)
class Rows:
    """What the rows of a page are.

    Attributes:
        one: "person", "tube", or "class"; the latter have names in the place of numbers.
        many: What is said to be shown over time.
        points: How much was looked at or found, in words.
    """

    one: str
    many: str
    points: str


def write_report(
    path: Path,
    video: VideoPersons,
    histories: Sequence[PersonHistory],
    names: Sequence[str],
    threshold: float,
    film: Film | None = None,
    rows: Rows | None = None,
) -> None:
    """Write the page of a video; it needs no network, and no other file but a film beside it.

    Args:
        path: The file to write.
        video: Key frames with numbered persons; those with `steps` can be seen step by step.
        histories: What each person did, by number.
        names: Names of the classes, by number from 0; any text.
        threshold: Score from which actions are shown at first.
        film: The video to show; without it there are boxes alone.
        rows: What stands in the place of persons, if anything does.
    """
    columns, rows = Columns(), rows or Rows("person", "persons", _count(video.key_frames))
    most = max([1.0, *(span.score for history in histories for span in history.spans)])
    _add_key_frames(columns, video, histories, most)
    _add_histories(columns, histories, most)
    stepped = [(i, key.steps) for i, key in enumerate(video.key_frames) if key.steps is not None]
    facts = {
        "name": as_text(video.name),
        "width": video.width * (film.pixel_aspect if film else 1),
        "height": video.height,
        "start": video.start,
        "end": video.end,
        "partial": video.partial,
        "classes": list(names),
        "rows": asdict(rows),
        "most": most,
        "threshold": threshold,
        "steps": _add_steps(columns, stepped, video),
        **_film_facts(film),
        "columns": columns.layout,
    }
    embedded = film is not None and film.embedded
    parts = {
        "title": html.escape(as_text(video.name)),
        "style": _read("page.css"),
        "script": "\n".join(_read(name) for name in SCRIPTS),
        "facts": _script_json(facts),
        "block": columns.encoded(),
        "film": base64.b64encode(film.path.read_bytes()).decode() if film and embedded else "",
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("page.html"))
    write_whole(path, page)


def _count(key_frames: Sequence[KeyFrame]) -> str:
    return f"{len(key_frames)} key frames"


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _script_json(content: dict[str, Any]) -> str:
    """JSON for a script element: nothing in it can end the element or begin a comment."""
    text = json.dumps(content, allow_nan=False)  # ASCII: other characters are escaped
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _film_facts(film: Film | None) -> dict[str, str]:
    if film is None:
        return {"film": "", "film_note": ""}
    if film.embedded:
        return {"film": "", "film_note": ""}
    note = f"the video is in {film.path.name}, which must lie beside this page"
    return {"film": film.path.name, "film_note": as_text(note)}


def _add_key_frames(
    columns: Columns, video: VideoPersons, histories: Sequence[PersonHistory], most: float
) -> None:
    """A row for each person of each key frame: index of the person, box, labels.

    Args:
        most: The largest score; those of segments may exceed 1.
    """
    places = {history.number: i for i, history in enumerate(histories)}
    keys = video.key_frames
    persons = [person for key in keys for person in key.persons]
    labels = [label for person in persons for label in person.labels]
    cuts = [np.nan if key.cut is None else key.cut for key in keys]
    columns.add("key_time", "f4", [key.time for key in keys])
    columns.add("key_cut", "f4", cuts)
    columns.add("key_row", "u4", _starts(len(key.persons) for key in keys))
    columns.add("row_person", "u4", [places[p.number] for p in persons if p.number is not None])
    boxes = np.array([person.box for person in persons]).reshape(-1, 4)
    columns.add("row_box", "u2", _fractions(boxes, video))
    columns.add("row_label", "u4", _starts(len(person.labels) for person in persons))
    columns.add("label_class", "u2", [label for label, _ in labels])
    columns.add("label_score", "u1", [SCORE * score / most for _, score in labels])


def _add_histories(columns: Columns, histories: Sequence[PersonHistory], most: float) -> None:
    """A row for each person, with the place of the first of the person's spans."""
    spans = [span for history in histories for span in history.spans]
    columns.add("person_number", "u4", [history.number for history in histories])
    columns.add("person_span", "u4", _starts(len(history.spans) for history in histories))
    columns.add("span_class", "u2", [span.label for span in spans])
    columns.add("span_start", "f4", [span.start for span in spans])
    columns.add("span_end", "f4", [span.end for span in spans])
    columns.add("span_score", "u1", [SCORE * span.score / most for span in spans])


def _add_steps(
    columns: Columns, stepped: Sequence[tuple[int, StepBoxes]], video: VideoPersons
) -> dict[str, int] | None:
    """The steps of Q key frames: boxes `[Q, S + 1, N, 4]`; returns S + 1 and N."""
    if not stepped:
        return None
    boxes, labels, scores = (
        torch.stack([getattr(steps, name) for _, steps in stepped]).double().numpy()
        for name in ("boxes", "labels", "scores")
    )
    columns.add("step_key", "u4", [key for key, _ in stepped])
    columns.add("step_box", "u2", _fractions(boxes, video))
    columns.add("step_class", "u2", labels)
    columns.add("step_score", "u1", SCORE * scores)
    return {"steps": boxes.shape[1], "tubes": boxes.shape[2]}


def _fractions(boxes: np.ndarray, video: VideoPersons) -> np.ndarray:
    """Boxes in pixels as parts of the frame, clipped to it."""
    size = np.array([video.width, video.height] * 2)
    return FRACTION * np.clip(boxes / size, 0, 1)


def _starts(counts: Any) -> list[int]:
    """Where each of several runs of these lengths begins, and the end of the last."""
    return [0, *accumulate(counts)]
