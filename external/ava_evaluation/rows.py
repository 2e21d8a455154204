"""Rows of text to numbers: the checked parser, one row at a time.

It accepts whatever is legal and names file and line of whatever is not. `fast_rows` handles the
plain files that are the rule; what it does not recognise comes here.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from external.ava_evaluation.boxes import ImageKey

COLUMNS = ("video", "timestamp", "x1", "y1", "x2", "y2", "action_id", "score")
MAX_LABEL = 2**63 - 1


@dataclass
class Block:
    """The rows of one piece of text, n of them."""

    keys: list[ImageKey]
    """The images, numbered within the block."""
    image: NDArray[np.int32]
    """[n], index into `keys`."""
    boxes: NDArray[np.float64]
    """[n, 4], (x1, y1, x2, y2) as given."""
    label: NDArray[np.int64]
    """[n]."""
    score: NDArray[np.float64]
    """[n], 1 where the row has no eighth column."""
    lines: NDArray[np.int64] | range
    """[n], line of each row in the file, counted from 1."""


def parse_rows(text: bytes, first_line: int, source: str, images_without_boxes: bool) -> Block:
    """Parse whole lines; see `read_boxes` for what is accepted and raised."""
    number_of: dict[ImageKey, int] = {}
    image, boxes, label, score, lines = [], [], [], [], []
    for line, cells in _numbered_rows(text, first_line, source):
        where = f"{source}, line {line}"
        _check_columns(cells, where, images_without_boxes)
        key = (cells[0], check_seconds(cells[1], where))
        number = number_of.setdefault(key, len(number_of))
        if len(cells) == 2:
            continue
        image.append(number)
        boxes.append([_number(cells, column, where) for column in range(2, 6)])
        label.append(_integer(cells, 6, where))
        score.append(_number(cells, 7, where) if len(cells) == 8 else 1.0)
        lines.append(line)
    return Block(
        keys=list(number_of),
        image=np.array(image, dtype=np.int32),
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        label=np.array(label, dtype=np.int64),
        score=np.array(score, dtype=np.float64),
        lines=np.array(lines, dtype=np.int64),
    )


def _numbered_rows(text: bytes, first_line: int, source: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of every line that is not blank."""
    # A name that is not UTF-8 keeps its bytes; it still compares.
    reader = csv.reader(text.decode(errors="surrogateescape").split("\n"))
    try:
        for cells in reader:
            if cells:
                yield first_line + reader.line_num - 1, cells
    except csv.Error as error:
        raise ValueError(f"{source}, line {first_line + reader.line_num - 1}: {error}") from None


def check_seconds(text: str, where: str) -> str:
    """Return a timestamp as it was written if it is a finite number; else raise ValueError."""
    try:
        finite = math.isfinite(float(text))
    except ValueError:
        finite = False
    if not finite:
        raise ValueError(f"{where}: timestamp is {text!r}, expected seconds as a number")
    return text


def whole_seconds(text: str, where: str) -> int:
    """Return a timestamp of whole seconds; raises ValueError for any other."""
    try:
        return int(text)
    except ValueError:
        pass
    raise ValueError(f"{where}: timestamp is {text!r}, expected whole seconds")


def _check_columns(cells: list[str], where: str, images_without_boxes: bool) -> None:
    if len(cells) in (7, 8) or (len(cells) == 2 and images_without_boxes):
        return
    expected = "2 (video,timestamp), 7 or 8" if images_without_boxes else "7 or 8"
    raise ValueError(
        f"{where}: expected {expected} columns, {','.join(COLUMNS[:7])}[,score], "
        f"got {len(cells)}: {','.join(cells)!r}"
    )


def _number(cells: list[str], column: int, where: str) -> float:
    try:
        return float(cells[column])
    except ValueError:
        pass
    raise ValueError(f"{where}: {COLUMNS[column]} is {cells[column]!r}, expected a number")


def _integer(cells: list[str], column: int, where: str) -> int:
    try:
        value = int(cells[column])
    except ValueError:
        value = MAX_LABEL + 1
    if abs(value) > MAX_LABEL:
        raise ValueError(f"{where}: {COLUMNS[column]} is {cells[column]!r}, expected an integer")
    return value
