"""VIA 3 (video annotator): a project (JSON) or its CSV export.

    {"attribute": {"1": {"aname": "action", "type": 2, "options": {"0": "walk", "1": "talk"}}},
     "file": {"1": {"fname": "a.mp4", "type": 4}}, "view": {"1": {"fid_list": ["1"]}},
     "metadata": {"1_x": {"vid": "1", "z": [2.0], "xy": [2, x, y, w, h], "av": {"1": "0,1"}}}}

A region has the time `z` on a video, or stands on a picture whose name tells video and frame. The
values `av` are option numbers (several of a checkbox, joined by commas) or, for a text, the text.
Segments in time (no `xy`) are no boxes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from data.converters.marks import Box, Choice, LeftOut, Mark, named
from data.converters.media import Media, video_name
from data.converters.via2 import parse_json
from utils.ava_csv import parse_number

RECTANGLE, EXTREME_RECTANGLE = 2, 8
TEXT, CHECKBOX = 1, 2
CSV_COLUMNS = 6
ATTRIBUTE_LINE = "# ATTRIBUTE ="
SHAPES = {1: "point", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline", 7: "polygon"}


@dataclass(frozen=True)
class Region:
    """One entry of `metadata`, as either file has it."""

    where: str
    file: str
    times: list[Any]
    shape: list[Any]
    values: dict[str, str]


def is_via3(content: Any) -> bool:
    """Whether this JSON document is a VIA 3 project."""
    return isinstance(content, dict) and {"metadata", "attribute", "file"} <= set(content)


def read_via3_json(
    path: Path, content: dict[str, Any], media: Media, choice: Choice
) -> tuple[list[Mark], LeftOut]:
    """The marks of a project. Raises `ValueError` naming file and region."""
    return _marks(_project_regions(path, content), content["attribute"], media, choice)


def read_via3_csv(path: Path, media: Media, choice: Choice) -> tuple[list[Mark], LeftOut]:
    """The marks of a CSV export. Raises `ValueError` naming file and line."""
    attributes: dict[str, Any] = {}
    with open(path, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.startswith(ATTRIBUTE_LINE):
                text = line.removeprefix(ATTRIBUTE_LINE).strip()
                attributes = parse_json(text, f"{path}, line {number}")
    if not attributes:
        raise ValueError(
            f"{path}: no line '{ATTRIBUTE_LINE} ...' with the names of the options: export it with "
            "a newer VIA 3, or convert the project (JSON)"
        )
    return _marks(_csv_regions(path), attributes, media, choice)


def _project_regions(path: Path, content: dict[str, Any]) -> Iterator[Region]:
    for key, entry in content["metadata"].items():
        where = f"{path}, region {key}"
        view = str(entry.get("vid"))
        # Without views (old and generated projects) a view is the file of the same number.
        files = content.get("view", {}).get(view, {}).get("fid_list") or [view]
        file = content["file"].get(str(files[0]))
        if file is None:
            raise ValueError(f"{where}: no file {files[0]!r} in this project")
        name = file.get("fname") or file.get("src") or ""
        yield Region(where, name, entry.get("z") or [], entry.get("xy") or [], entry.get("av", {}))


def _csv_regions(path: Path) -> Iterator[Region]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for cells in reader:
            if not cells or cells[0].startswith("#"):
                continue
            where = f"{path}, line {reader.line_num}"
            if len(cells) < CSV_COLUMNS:
                raise ValueError(f"{where}: expected {CSV_COLUMNS} columns, got {len(cells)}")
            files, times, shape, values = (
                parse_json(cells[i], where) for i in (1, 3, 4, CSV_COLUMNS - 1)
            )
            yield Region(where, files[0], times, shape, values)


def _marks(
    regions: Iterator[Region], attributes: dict[str, Any], media: Media, choice: Choice
) -> tuple[list[Mark], LeftOut]:
    marks, left_out = [], LeftOut()
    for region in regions:
        if not region.shape:
            left_out.add("segments in time, without a box", region.where)
        elif region.shape[0] not in (RECTANGLE, EXTREME_RECTANGLE):
            kind = SHAPES.get(region.shape[0], f"shape {region.shape[0]}")
            left_out.add(f"shapes that are no boxes ({kind})", region.where)
        else:
            marks.append(_mark(region, attributes, media, choice))
    return marks, left_out


def _mark(region: Region, attributes: dict[str, Any], media: Media, choice: Choice) -> Mark:
    where = region.where
    if region.times:
        time = Fraction(str(parse_number(str(region.times[0]), "time", where)))
        video, picture = choice.video_of(video_name(region.file)), None
    else:
        video, time = media.picture_moment(region.file, where, choice.video_of)
        picture = region.file
    values: list[str] = []
    person = None
    for number, value in region.values.items():
        if number not in attributes:
            raise ValueError(f"{where}: no attribute {number!r} in this file")
        attribute = attributes[number]
        texts = _texts(attribute, str(value), where)
        if attribute.get("aname") == choice.person:
            person = next(iter(named(texts)), None)
        if choice.is_action(attribute.get("aname", "")):
            values += texts
    size = media.frame_size(video, where, picture)
    return Mark(where, video, time, _corners(region.shape, where), size, named(values), person)


def _texts(attribute: dict[str, Any], value: str, where: str) -> list[str]:
    """What the value of an attribute says: the text, or the names of the options."""
    if attribute.get("type") == TEXT:
        return [value]
    numbers = value.split(",") if attribute.get("type") == CHECKBOX else [value]
    options = attribute.get("options") or {}
    for number in numbers:
        if number and number not in options:
            raise ValueError(
                f"{where}: option {number!r} of {attribute.get('aname')!r}, expected one of "
                f"{', '.join(options)}"
            )
    return [options[number] for number in numbers if number]


def _corners(shape: list[Any], where: str) -> Box:
    if len(shape) != 5:
        raise ValueError(f"{where}: expected [2, x, y, width, height], got {json.dumps(shape)}")
    x, y, width, height = (parse_number(str(value), "xy", where) for value in shape[1:])
    return x, y, x + width, y + height
