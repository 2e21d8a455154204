"""The demo's JSON as typed data: its parts, its version, and its schema; for every detector.

Boxes are in pixels of the video's frames, times in seconds after its first frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from external.files import read_json
from utils.formats.schema import check_shape

VERSION = 1
"""Version of the layout; a reader refuses a newer one."""


@dataclass
class Action:
    """What a person does on a key frame.

    Attributes:
        id: Of the label map.
    """

    id: int
    name: str
    score: float


@dataclass
class SeenPerson:
    """A person on a key frame.

    Attributes:
        person: The number.
        box_fraction: Of width and height.
    """

    person: int
    box: tuple[float, float, float, float]
    box_fraction: tuple[float, float, float, float]
    actions: list[Action]


@dataclass
class SeenTube:
    """A tube on a frame: where somebody does the tube's action.

    Attributes:
        tube: The number.
        box_fraction: Of width and height.
    """

    tube: int
    box: tuple[float, float, float, float]
    box_fraction: tuple[float, float, float, float]


@dataclass
class SeenFrame:
    """A key frame.

    Attributes:
        frame: Counted from 0.
        tubes: Of a detector that finds tubes.
    """

    frame: int
    time: float
    persons: list[SeenPerson]
    tubes: list[SeenTube] = field(default_factory=list)


@dataclass
class LastingAction:
    """What a person does from `start` to `end`.

    Attributes:
        score: The mean where it was seen.
    """

    id: int
    name: str
    start: float
    end: float
    score: float


@dataclass
class Segment:
    """An action from `start` to `end`, of whoever does it.

    Attributes:
        score: Of an action of a person the mean where it was seen.
        person: Number of the person, if the detector follows persons.
        tube: Number of the tube, if the detector finds tubes.
    """

    id: int
    name: str
    start: float
    end: float
    score: float
    person: int | None = None
    tube: int | None = None


@dataclass
class PersonEntry:
    """Who was seen, from when to when, on how many key frames, doing what."""

    person: int
    start: float
    end: float
    key_frames: int
    actions: list[LastingAction]


@dataclass
class PersonResults:
    """The document: a video, its persons, and its key frames; the same of every detector.

    A detector of tubes or segments has no `persons`, one of segments no `key_frames`. More members
    say how the results were made.

    Attributes:
        cuts: Times of scene cuts.
        partial: The demo was stopped before the video's end.
        fps: Frames a second on average.
    """

    version: int
    video: str
    partial: bool
    width: int
    height: int
    fps: float
    cuts: list[float]
    persons: list[PersonEntry]
    key_frames: list[SeenFrame]
    segments: list[Segment] = field(default_factory=list)


def read_results(path: Path) -> PersonResults:
    """Return the results in a file of the demo.

    Raises:
        ValueError: Naming the file, for one of a newer version or of another kind.
    """
    return as_results(read_json(path), path)


def as_results(content: Any, where: str | Path) -> PersonResults:
    """Return a document as typed data.

    Raises:
        ValueError: Naming `where` it came from and the member that is wrong.
    """
    version = content.get("version") if isinstance(content, dict) else None
    if not isinstance(version, int) or "key_frames" not in content:
        raise ValueError(f"{where}: expected results of demo.py with a version, found none")
    if version > VERSION:
        raise ValueError(
            f"{where}: results of version {version}; this program reads up to {VERSION}. Update it"
        )
    return check_shape(content, PersonResults, where, "results of demo.py")


def schema_text() -> str:
    """Return the JSON schema of the document, as `person_results.schema.json` holds it."""
    schema = msgspec.json.schema(PersonResults)
    return json.dumps(schema, indent=1) + "\n"
