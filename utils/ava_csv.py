"""Cells of AVA's CSV files, checked: annotations, proposals and exclusions share these rules.

No header; `video,timestamp` comes first; timestamps are whole seconds; boxes are fractions of the
image's width and height. Every error is a `ValueError` that starts with file and line.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

FractionBox = tuple[float, float, float, float]


def read_rows(path: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Give every row that is not blank as `("<file>, line <n>", cells)`.

    Raises `ValueError` naming the file if it is missing, holds no row or is not CSV text.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    empty = True
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            for cells in reader:
                if cells:
                    empty = False
                    yield f"{path}, line {reader.line_num}", cells
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a CSV text file: {error}") from error
    if empty:
        raise ValueError(f"{path}: the file is empty, expected rows video,timestamp,...")


def parse_number(text: str, name: str, where: str) -> float:
    """`text` as a float."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{where}: {name} is not a number: {text!r} (the file must have no header)"
        ) from None


def parse_whole(text: str, name: str, where: str) -> int:
    """`text` as an integer; `0902` and `902.0` are both 902."""
    try:
        return int(text)
    except ValueError:
        number = parse_number(text, name, where)
    if not number.is_integer():
        raise ValueError(f"{where}: {name} must be a whole number, got {text!r}")
    return int(number)


def parse_second(text: str, where: str) -> int:
    """A timestamp: a whole second, 0 or more (frames lie in one folder a second)."""
    second = parse_whole(text, "timestamp", where)
    if second < 0:
        raise ValueError(f"{where}: timestamp must be 0 or more, got {text!r}")
    return second


def parse_box(cells: list[str], where: str) -> FractionBox:
    """Four cells `x1, y1, x2, y2` as fractions; see `check_box`."""
    x1, y1, x2, y2 = cells
    box = (
        parse_number(x1, "x1", where),
        parse_number(y1, "y1", where),
        parse_number(x2, "x2", where),
        parse_number(y2, "y2", where),
    )
    return check_box(box, where)


def check_box(box: FractionBox, where: str) -> FractionBox:
    """`box` if it lies in the unit square and has an area; else `ValueError`."""
    x1, y1, x2, y2 = box
    if 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1:  # false for nan
        return box
    got = f"got x1={x1:g}, y1={y1:g}, x2={x2:g}, y2={y2:g}"
    if all(0 <= value <= 1 for value in box):
        raise ValueError(f"{where}: box without area: expected x1 < x2 and y1 < y2, {got}")
    raise ValueError(
        f"{where}: box outside the image: expected fractions of width and height in [0, 1], {got}"
    )
