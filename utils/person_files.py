"""The demo's results as files: what was detected in a video, as AVA-style CSV and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from utils.ava_csv import quote_cell
from utils.postprocess import Person, interpolate_persons


@dataclass
class KeyFrame:
    """The persons detected on one frame. frame: counted from 0. time: seconds from the first."""

    frame: int
    time: float
    persons: list[Person]


@dataclass
class VideoPersons:
    """Everything detected in one video of `height x width` pixels; boxes are in those pixels.

    key_frames: in order of time.
    """

    name: str
    height: int
    width: int
    fps: float
    key_frames: list[KeyFrame] = field(default_factory=list)


def follow_persons(key_frames: Iterable[KeyFrame]) -> Iterator[list[Person]]:
    """The persons on frame 0, 1, 2, ... without end, from `key_frames` in order of time.

    Between two key frames in between, before the first and past the last as there. A key frame is
    taken only when the first frame after the one before it is asked for: they may still be in the
    making.
    """
    coming = iter(key_frames)
    before: KeyFrame | None = None
    after = next(coming, None)
    for frame in count():
        if after is not None and after.frame < frame:
            before, after = after, next(coming, None)
        if before is None or after is None:
            nearest = after or before
            yield nearest.persons if nearest else []
        else:
            weight = (frame - before.frame) / (after.frame - before.frame)
            yield interpolate_persons(before.persons, after.persons, weight)


def write_csv(video: VideoPersons, classes: Mapping[int, str], path: Path) -> None:
    """Rows `video,seconds,x1,y1,x2,y2,class id,score`, boxes as fractions; no header.

    A row for each label of each person. classes: id to name, ascending ids.
    """
    ids, name = list(classes), quote_cell(video.name)
    rows = []
    for key in video.key_frames:
        for person in key.persons:
            box = ",".join(f"{value:.6f}" for value in _fractions(person.box, video))
            for label, score in person.labels:
                rows.append(f"{name},{key.time:.3f},{box},{ids[label]},{score:.6f}\n")
    path.write_text("".join(rows), encoding="utf-8")


def write_json(
    video: VideoPersons, classes: Mapping[int, str], settings: Mapping[str, Any], path: Path
) -> None:
    """The video's size and rate, `settings`, and for each key frame its time and its persons.

    A person has `box` in pixels, `box_fraction`, and `actions`, each with `id`, `name`, `score`.
    """
    items = list(classes.items())
    document = {
        "video": video.name,
        "width": video.width,
        "height": video.height,
        "fps": round(video.fps, 6),
        **settings,
        "key_frames": [
            {
                "frame": key.frame,
                "time": round(key.time, 6),
                "persons": [_person(person, video, items) for person in key.persons],
            }
            for key in video.key_frames
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _person(
    person: Person, video: VideoPersons, items: Sequence[tuple[int, str]]
) -> dict[str, Any]:
    return {
        "box": [round(value, 2) for value in person.box],
        "box_fraction": [round(value, 6) for value in _fractions(person.box, video)],
        "actions": [
            {"id": items[label][0], "name": items[label][1], "score": round(score, 6)}
            for label, score in person.labels
        ],
    }


def _fractions(box: Sequence[float], video: VideoPersons) -> list[float]:
    return [v / size for v, size in zip(box, (video.width, video.height) * 2, strict=True)]
