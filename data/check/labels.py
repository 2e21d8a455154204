"""Reads an annotation file row by row, and continues after a row that is wrong.

The cells are parsed by the same functions as for training (`utils/formats/ava_csv.py`), so that
what is accepted here is accepted there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from data.check.problems import Problems
from data.datasets.ava_records import Records, read_records
from utils.formats.ava_csv import (
    FractionBox,
    check_box,
    check_columns,
    check_video_name,
    parse_number,
    parse_second,
    parse_whole,
    read_rows,
)
from utils.structures import ClipKey

FILE, ROWS, BOXES = "annotation file", "annotation rows", "boxes"
SECONDS, ACTIONS, PERSONS = "seconds", "action ids", "person ids"


class LabelRow(NamedTuple):
    """One action of one person on a key frame; where it stands, for messages."""

    key: ClipKey
    box: FractionBox
    action: int
    person: int | None
    where: str


@dataclass
class LabelFile:
    """What an annotation file says, as far as it can be read; counts are for after reading.

    Attributes:
        rows: The whole ones.
        images: Every image with a readable name, and where it is first named.
        annotated: Those with a person, readable or not, likewise.
        count: All rows with a person.
        refused: Boxes that are not fractions of the image.
        columns: 8 with person ids, 7 without.
    """

    path: Path
    rows: list[LabelRow] = field(default_factory=list)
    images: dict[ClipKey, str] = field(default_factory=dict)
    annotated: dict[ClipKey, str] = field(default_factory=dict)
    count: int = 0
    refused: list[FractionBox] = field(default_factory=list)
    columns: int = 0

    @cached_property
    def videos(self) -> list[str]:
        """Videos that the file names, sorted."""
        return sorted({key.video for key in self.images})

    @cached_property
    def persons(self) -> set[tuple[ClipKey, int | None, FractionBox]]:
        """Every person on every image, once."""
        return {(row.key, row.person, row.box) for row in self.rows}

    @cached_property
    def class_counts(self) -> Counter[int]:
        """How many persons do each action."""
        return Counter(action for _, _, action, _ in {row[:4] for row in self.rows})


def read_label_file(path: Path, problems: Problems) -> LabelFile:
    """Read a `.csv` or `.pkl` annotation; what cannot be read of it goes into `problems`."""
    labels = LabelFile(path)
    if path.suffix == ".csv":
        for where, cells in _rows_until_unreadable(path, problems):
            _read_row(labels, where, cells, problems)
    else:
        records = problems.attempt(FILE, read_records, path)
        if records is not None:
            _take_records(labels, records)
    return labels


def _rows_until_unreadable(path: Path, problems: Problems) -> Iterator[tuple[str, list[str]]]:
    try:
        yield from read_rows(path)
    except ValueError as error:
        problems.error(FILE, str(error))


def _read_row(labels: LabelFile, where: str, cells: list[str], problems: Problems) -> None:
    """Read every cell of a row, so that each mistake in it is told."""
    columns = problems.attempt(ROWS, check_columns, cells, where, labels.columns)
    if columns is None and len(cells) not in (7, 8):
        return
    second = problems.attempt(SECONDS, parse_second, cells[1], where)
    video = problems.attempt(ROWS, check_video_name, cells[0], where)
    key = None if second is None or video is None else ClipKey(video, second)
    if key is not None:
        labels.images.setdefault(key, where)
    if len(cells) == 2:
        return
    labels.count += 1
    if key is not None:
        labels.annotated.setdefault(key, where)
    if columns is None:
        return
    labels.columns = columns
    box = _read_box(labels, cells[2:6], where, problems)
    action = problems.attempt(ACTIONS, parse_whole, cells[6], "action_id", where)
    person = None
    if labels.columns == 8:
        person = problems.attempt(PERSONS, parse_whole, cells[7], "person_id", where)
        if person is None:
            return
    if key is not None and box is not None and action is not None:
        labels.rows.append(LabelRow(key, box, action, person, where))


def _read_box(
    labels: LabelFile, cells: list[str], where: str, problems: Problems
) -> FractionBox | None:
    names = ("x1", "y1", "x2", "y2")
    numbers = [
        problems.attempt(BOXES, parse_number, cell, name, where)
        for cell, name in zip(cells, names, strict=True)
    ]
    x1, y1, x2, y2 = numbers
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return None
    box = problems.attempt(BOXES, check_box, (x1, y1, x2, y2), where)
    if box is None:
        labels.refused.append((x1, y1, x2, y2))
    return box


def _take_records(labels: LabelFile, records: Records) -> None:
    labels.columns = 8 if records.has_persons else 7
    for key, persons in records.images.items():
        where = f"{labels.path}, image {key.video},{key.timestamp}"
        labels.images[key] = where
        if persons:
            labels.annotated[key] = where
        for person in persons:
            labels.count += len(person.actions)
            labels.rows += [
                LabelRow(key, person.box, action, person.person, where) for action in person.actions
            ]
