"""AVA annotation files, `.csv` or `.pkl`, as records: persons per image, whatever the label map.

CSV, no header: `video,timestamp,x1,y1,x2,y2,action_id[,person_id]`, one row per person and action;
`video,timestamp` alone declares an image without persons. The pickle (`scripts/generate_label.py`)
holds the same in plain Python types and is read by an unpickler that refuses everything else.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec

from external.ava_evaluation.cells import MAX_INTEGER, MAX_SECOND
from external.files import open_regular, parsing
from utils.formats.ava_csv import (
    FractionBox,
    check_box,
    check_columns,
    check_video_name,
    parse_box,
    parse_second,
    parse_whole,
    read_rows,
)
from utils.formats.schema import check_shape
from utils.structures import ClipKey
from utils.system.outputs import write_whole

FORMAT = "step-annotations-1"
EXPECTED = "a pickle of scripts/generate_label.py"
HEAD = 200  # bytes
HINT = "expected plain data as scripts/generate_label.py writes it"


@dataclass(slots=True)
class PersonRecord:
    """A person on a key frame: box in fractions, id within the video if known, action ids."""

    box: FractionBox
    person: int | None
    actions: list[int] = field(default_factory=list)


@dataclass
class Records:
    """A whole annotation file.

    Attributes:
        images: Persons of every image that the file names, in its order.
        has_persons: Whether persons carry ids, that is, can be followed from second to second.
        first_seen: Where each action id occurs first, for messages.
    """

    images: dict[ClipKey, list[PersonRecord]]
    has_persons: bool
    first_seen: dict[int, str]


def read_records(path: str | Path) -> Records:
    """Read an annotation file. Raises `ValueError` naming the file and the line."""
    path = Path(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    if path.suffix == ".pkl":
        return _read_pickle(path)
    raise ValueError(f"{path}: expected an annotation file ending in .csv or .pkl")


def _read_csv(path: Path) -> Records:
    """Rows of one second are one person if person id and box agree; without ids, if boxes do."""
    images: dict[ClipKey, dict[tuple, PersonRecord]] = {}
    first_seen: dict[int, str] = {}
    columns = 0
    for where, cells in read_rows(path):
        columns = check_columns(cells, where, columns)
        key = ClipKey(check_video_name(cells[0], where), parse_second(cells[1], where))
        persons = images.setdefault(key, {})
        if len(cells) == 2:
            continue
        box = parse_box(cells[2:6], where)
        action = parse_whole(cells[6], "action_id", where)
        person = parse_whole(cells[7], "person_id", where) if columns == 8 else None
        if (person, box) not in persons:
            persons[person, box] = PersonRecord(box, person)
        persons[person, box].actions.append(action)
        first_seen.setdefault(action, where)
    return Records(
        {key: list(persons.values()) for key, persons in images.items()}, columns == 8, first_seen
    )


def write_pickle(records: Records, path: str | Path) -> None:
    """Write `records` as nested tuples of text and numbers; `read_records` gives them back.

    Whole or not at all: what stood at `path` before survives a full disk. Raises `OSError`.
    """
    images = [
        (key.video, key.timestamp, [(p.box, p.person, p.actions) for p in persons])
        for key, persons in records.images.items()
    ]
    content = {"format": FORMAT, "has_persons": records.has_persons, "images": images}
    write_whole(path, pickle.dumps(content, protocol=4))


def check_replaceable_pickle(path: Path) -> None:
    """Raise `ValueError` if something stands at `path` that `write_pickle` did not write.

    The format's name stands at the begin of what it wrote, also of a pickle that was cut short.
    """
    if not os.path.lexists(path):
        return
    with open_regular(path, "place for a file") as file:
        if FORMAT.encode() not in file.read(HEAD):
            raise ValueError(
                f"{path}: is there already and was not made by this command; move it away or give "
                "another --output"
            )


class _PlainUnpickler(pickle.Unpickler):
    """Loads numbers, text and containers; any reference to code is refused before it is run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


_Second = Annotated[int, msgspec.Meta(ge=0, le=MAX_SECOND)]
_Integer = Annotated[int, msgspec.Meta(ge=-MAX_INTEGER, le=MAX_INTEGER)]
_Box = tuple[float, float, float, float]
_Persons = list[tuple[_Box, _Integer | None, list[_Integer]]]


class _Content(TypedDict):
    """What the pickle holds; persons are checked image by image."""

    format: str
    has_persons: bool
    images: list[tuple[str, _Second, list[Any]]]


def _read_pickle(path: Path) -> Records:
    content = _unpickled(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not of format {FORMAT}; {HINT}")
    size = path.stat().st_size
    if not _holds_at_most(content.get("images"), size):
        raise ValueError(f"{path}: refused: it refers to more than its {size:,} bytes hold; {HINT}")
    return _records_from_plain(check_shape(content, _Content, path, EXPECTED), path)


def _holds_at_most(images: Any, count: int) -> bool:
    """Whether images, persons and actions together are at most `count` entries.

    A pickle of a few bytes can refer to one list a million times over, in each of which another is
    referred to: what takes no memory would take hours to look at.
    """
    level = images if isinstance(images, list | tuple) else ()
    for _ in range(4):  # image, persons, person, actions
        if len(level) > count:
            return False
        count -= len(level)
        below: list[Any] = []
        for entry in level:
            if isinstance(entry, list | tuple):
                below += entry[: count + 1]
            if len(below) > count:
                return False
        level = [entry for entry in below if isinstance(entry, list | tuple)]
    return True


def _unpickled(path: Path) -> Any:
    with open_regular(path) as file:
        try:
            with parsing(path, EXPECTED):
                return _PlainUnpickler(file).load()
        except (pickle.UnpicklingError, EOFError) as error:  # not among the kinds that it knows
            reason = " ".join(str(error).split())
            raise ValueError(f"{path}: refused: {reason}; {HINT}") from error


def _records_from_plain(content: _Content, path: Path) -> Records:
    images: dict[ClipKey, list[PersonRecord]] = {}
    first_seen: dict[int, str] = {}
    for video, second, plain in content["images"]:
        where = f"{path}, image {video[:80]!r},{second}"
        key = ClipKey(check_video_name(video, where), second)
        if key in images:
            raise ValueError(f"{where}: stands twice")
        records = images[key] = []
        for box, person, actions in check_shape(plain, _Persons, where, "persons"):
            if (person is not None) != content["has_persons"]:
                raise ValueError(f"{where}: expected all persons with an id, or none, got {person}")
            records.append(PersonRecord(check_box(box, where), person, actions))
            for action in actions:
                first_seen.setdefault(action, where)
    if not images:
        raise ValueError(f"{path}: holds no image")
    return Records(images, content["has_persons"], first_seen)
