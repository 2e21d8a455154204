"""AVA annotation files, `.csv` or `.pkl`, as records: persons per image, whatever the label map.

CSV, no header: `video,timestamp,x1,y1,x2,y2,action_id[,person_id]`, one row per person and action;
`video,timestamp` alone declares an image without persons. The pickle (`scripts/generate_label.py`)
holds the same in plain Python types and is read by an unpickler that refuses everything else.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from utils.ava_csv import (
    FractionBox,
    check_box,
    parse_box,
    parse_second,
    parse_whole,
    read_rows,
)
from utils.structures import ClipKey

COLUMNS = "video,timestamp,x1,y1,x2,y2,action_id"
FORMAT = "step-annotations-1"


@dataclass(slots=True)
class PersonRecord:
    """A person on a key frame: box in fractions, id within the video if known, action ids."""

    box: FractionBox
    person: int | None
    actions: list[int] = field(default_factory=list)


@dataclass
class Records:
    """A whole annotation file.

    images: persons of every image that the file names, in its order.
    has_persons: whether persons carry ids, that is, can be followed from second to second.
    first_seen: where each action id occurs first, for messages.
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
        if len(cells) not in (2, 7, 8):
            raise ValueError(
                f"{where}: expected 7 or 8 columns {COLUMNS}[,person_id], or 2 for an image "
                f"without persons, got {len(cells)}: {','.join(cells)}"
            )
        persons = images.setdefault(ClipKey(cells[0], parse_second(cells[1], where)), {})
        if len(cells) == 2:
            continue
        columns = columns or len(cells)
        if len(cells) != columns:
            raise ValueError(f"{where}: expected {columns} columns as above, got {len(cells)}")
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
    """Write `records` as nested tuples of text and numbers; `read_records` gives them back."""
    images = [
        (key.video, key.timestamp, [(p.box, p.person, p.actions) for p in persons])
        for key, persons in records.images.items()
    ]
    content = {"format": FORMAT, "has_persons": records.has_persons, "images": images}
    Path(path).write_bytes(pickle.dumps(content, protocol=4))


class _PlainUnpickler(pickle.Unpickler):
    """Loads numbers, text and containers; any reference to code is refused before it is run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


def _read_pickle(path: Path) -> Records:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    hint = "expected plain data as scripts/generate_label.py writes it"
    try:
        with open(path, "rb") as file:
            content = _PlainUnpickler(file).load()
    except Exception as error:  # damaged pickles raise nearly anything
        raise ValueError(f"{path}: refused: {error}; {hint}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path}: not of format {FORMAT}; {hint}")
    try:
        return _records_from_plain(content, path)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: malformed: {error}; {hint}") from error


def _records_from_plain(content: dict[str, Any], path: Path) -> Records:
    images: dict[ClipKey, list[PersonRecord]] = {}
    first_seen: dict[int, str] = {}
    for video, second, persons in content["images"]:
        where = f"{path}, image {video},{second}"
        records = images[ClipKey(str(video), int(second))] = []
        for (x1, y1, x2, y2), person, actions in persons:
            box = check_box((float(x1), float(y1), float(x2), float(y2)), where)
            records.append(PersonRecord(box, person, [int(action) for action in actions]))
            for action in records[-1].actions:
                first_seen.setdefault(action, where)
    if not images:
        raise ValueError(f"{path}: holds no image")
    return Records(images, bool(content["has_persons"]), first_seen)
