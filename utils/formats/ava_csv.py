"""Cells of AVA's CSV files, checked: annotations, proposals and exclusions share these rules.

No header; `video,timestamp` comes first; timestamps are whole seconds; boxes are fractions of the
image's width and height. Every error is a `ValueError` that starts with file and line. The
evaluation (`external.ava_evaluation`) reads the same files; its rules for rows, numbers and names
apply here, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from external.ava_evaluation import rows
from external.ava_evaluation.cells import (
    check_video_name,
    parse_number,
    parse_second,
    parse_whole,
)
from external.ava_evaluation.rows import check_columns

__all__ = [
    "FractionBox",
    "as_text",
    "check_box",
    "check_columns",
    "check_video_name",
    "parse_box",
    "parse_number",
    "parse_second",
    "parse_whole",
    "quote_cell",
    "read_rows",
]

FractionBox = tuple[float, float, float, float]


def read_rows(path: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Give every row that is not blank as `("<file>, line <n>", cells)`.

    Raises:
        ValueError: As the evaluation's `read_rows` does, and if the file holds no row.
    """
    empty = True
    for where, cells in rows.read_rows(path):
        empty = False
        yield where, cells
    if empty:
        raise ValueError(f"{path}: the file is empty, expected rows video,timestamp,...")


def as_text(name: str) -> str:
    """A file's name as text that can be written: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def quote_cell(text: str) -> str:
    """`text` as a cell of a CSV file: in quotes where it holds a comma, a quote or a line end."""
    if any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


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
