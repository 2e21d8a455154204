"""The simplest annotation file: a table with names, one row for each action of each person.

    video,second,x1,y1,x2,y2,label,person
    kitchen,4,0.20,0.35,0.41,0.98,pour water,Anna

The header may be left out, and so may `person`. Boxes are fractions of width and height, or pixels
where that is asked for.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from data.converters.marks import Choice, LeftOut, Mark, named
from data.converters.media import Media, video_name
from utils.ava_csv import parse_number, read_rows

COLUMNS = ("video", "second", "x1", "y1", "x2", "y2", "label")
PERSON = "person"


def read_named_csv(
    path: Path, media: Media, choice: Choice, pixels: bool = False
) -> tuple[list[Mark], LeftOut]:
    """The marks of one table. Raises `ValueError` naming file and line."""
    columns: list[str] = []
    marks = []
    for where, cells in read_rows(path):
        if not columns:
            columns = _header(cells) or _positions(cells, where)
            if _header(cells):
                _check_header(columns, where)
                continue
        if len(cells) != len(columns):
            raise ValueError(
                f"{where}: expected {len(columns)} columns {','.join(columns)}, got {len(cells)}: "
                f"{','.join(cells)}"
            )
        marks.append(_mark(dict(zip(columns, cells, strict=True)), where, media, choice, pixels))
    return marks, LeftOut()


def _header(cells: list[str]) -> list[str]:
    """The columns that the first row names; empty if it is a row like the others."""
    names = [cell.strip().lower() for cell in cells]
    return names if "video" in names and "x1" in names else []


def _positions(cells: list[str], where: str) -> list[str]:
    columns = [*COLUMNS, PERSON]
    if len(cells) not in (len(COLUMNS), len(columns)):
        raise ValueError(
            f"{where}: expected 7 or 8 columns {','.join(COLUMNS)}[,{PERSON}], got {len(cells)}: "
            f"{','.join(cells)}"
        )
    return columns[: len(cells)]


def _check_header(columns: list[str], where: str) -> None:
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(f"{where}: no column {', '.join(missing)} in the header")
    if len(set(columns)) != len(columns):
        raise ValueError(f"{where}: a column stands twice in the header: {','.join(columns)}")


def _mark(row: dict[str, str], where: str, media: Media, choice: Choice, pixels: bool) -> Mark:
    video = choice.video_of(video_name(row["video"]))
    second = parse_number(row["second"], "second", where)
    x1, y1, x2, y2 = (parse_number(row[name], name, where) for name in ("x1", "y1", "x2", "y2"))
    if not 0 <= second < float("inf"):
        raise ValueError(f"{where}: second is {row['second']!r}, expected 0 or more")
    if not pixels and max(x1, y1, x2, y2) > 2:
        raise ValueError(
            f"{where}: box {x1:g},{y1:g},{x2:g},{y2:g} is in pixels, expected fractions of width "
            "and height: say --pixels"
        )
    size = media.frame_size(video, where) if pixels else None
    person = row.get(PERSON, "").strip() or None
    return Mark(
        where,
        video,
        Fraction(row["second"].strip()),
        (x1, y1, x2, y2),
        size,
        named([row["label"]]),
        person,
    )
