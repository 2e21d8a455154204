"""The simplest annotation file: a table with names, one row for each action of each person.

    video,second,x1,y1,x2,y2,label,person
    kitchen,4,0.20,0.35,0.41,0.98,pour water,Anna

The header may be left out, and so may `person`. Boxes are fractions of width and height, or pixels
where that is asked for. A second may be written as a time, `0:04`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from data.converters.marks import Choice, Mark, Reading
from data.converters.media import Media
from data.converters.names import VideoNames, clean_name, named
from data.converters.values import is_time, parse_clock, parse_pixels, shown
from data.video.folders import printable
from external.files import read_csv

COLUMNS = ("video", "second", "x1", "y1", "x2", "y2", "label")
PERSON = "person"
KNOWN = (*COLUMNS, PERSON)
# A whole number that a spreadsheet or pandas wrote with decimals.
WHOLE = re.compile(r"(\d{1,18})\.0*", re.ASCII)


def read_named_csv(path: Path, media: Media, choice: Choice, pixels: bool = False) -> Reading:
    """The marks of one table. Raises `ValueError` naming file and line."""
    reading = Reading(attributes={"label"})
    names = VideoNames(choice.video)
    columns: list[str] = []
    for line, cells in read_csv(path, "table"):
        where = f"{path}, line {line}"
        if not any(cell.strip() for cell in cells):
            continue
        if not columns:
            columns = _header(cells, where, reading) or _positions(cells, where)
            if not is_header(cells):
                reading.marks.append(_mark(columns, cells, where, media, names, pixels))
            continue
        reading.marks.append(_mark(columns, cells, where, media, names, pixels))
    if not columns:
        raise ValueError(f"{path}: the file is empty, expected rows {','.join(COLUMNS)}")
    return reading


def is_header(cells: list[str]) -> bool:
    """Whether the first row names columns: one of ours at least, and no number."""
    return bool(set(_lower(cells)) & set(KNOWN)) and not any(map(is_time, cells))


def _lower(cells: list[str]) -> list[str]:
    return [clean_name(cell).lower() for cell in cells]


def _header(cells: list[str], where: str, reading: Reading) -> list[str]:
    """The columns that the first row names; empty if it is a row like the others."""
    if not is_header(cells):
        return []
    columns = _lower(cells)
    unknown = [name for name in columns if name not in KNOWN]
    missing = [name for name in COLUMNS if name not in columns]
    told = f"; unknown columns: {', '.join(map(shown, unknown))}" if unknown else ""
    if missing:
        raise ValueError(
            f"{where}: no column {', '.join(missing)} in the header{told}; known columns: "
            f"{', '.join(KNOWN)}"
        )
    known = [name for name in columns if name in KNOWN]
    if len(set(known)) != len(known):
        raise ValueError(f"{where}: a column stands twice in the header: {','.join(columns)}")
    for name in unknown:
        if PERSON not in columns and get_close_matches(name, [PERSON]):
            raise ValueError(f"{where}: unknown column {shown(name)}: did you mean {PERSON}?")
        reading.left_out.add(f"columns of no known name ({printable(name[:40])})", where)
    return columns


def _positions(cells: list[str], where: str) -> list[str]:
    if len(cells) not in (len(COLUMNS), len(KNOWN)):
        raise ValueError(
            f"{where}: expected 7 or 8 columns {','.join(COLUMNS)}[,{PERSON}], got {len(cells)}: "
            f"{shown(','.join(cells))}"
        )
    return list(KNOWN[: len(cells)])


def _mark(
    columns: list[str], cells: list[str], where: str, media: Media, names: VideoNames, pixels: bool
) -> Mark:
    if len(cells) != len(columns):
        raise ValueError(
            f"{where}: expected {len(columns)} columns {','.join(columns)}, got {len(cells)}: "
            f"{shown(','.join(cells))}"
        )
    row = dict(zip(columns, cells, strict=True))
    video = names.of(row["video"], where)
    time = parse_clock(row["second"], "second", where)
    x1, y1, x2, y2 = (parse_pixels(row[name], name, where) for name in COLUMNS[2:6])
    if time < 0:
        raise ValueError(f"{where}: second is {row['second']!r}, expected 0 or more")
    if not pixels and max(x1, y1, x2, y2) > 2:
        raise ValueError(
            f"{where}: box {x1:g},{y1:g},{x2:g},{y2:g} is in pixels, expected fractions of width "
            "and height: give --pixels"
        )
    size = media.frame_size(video, where) if pixels else None
    person = clean_name(row.get(PERSON, "")) or None
    whole = WHOLE.fullmatch(person or "")
    person = whole[1] if whole else person
    return Mark(
        where=where,
        video=video,
        time=time,
        box=(x1, y1, x2, y2),
        size=size,
        labels=named([row["label"]]),
        person=person,
    )
