"""VGG Image Annotator 2: pictures with regions; a project, or an export as JSON or CSV.

    {"a_000030.jpg12345": {"filename": "a_000030.jpg", "regions": [
        {"shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4},
         "region_attributes": {"action": {"walk": true}, "person": "0"}}]}}

A region's attributes are actions: text, one option, or the options that are ticked. The attribute
`person` tells who it is. The picture's name tells video and frame.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from data.converters.marks import Box, Choice, LeftOut, Mark, named
from data.converters.media import Media
from utils.ava_csv import parse_number

PROJECT = "_via_img_metadata"
COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
SIDES = ("x", "y", "width", "height")


def read_via2_json(
    path: Path, content: dict[str, Any], media: Media, choice: Choice
) -> tuple[list[Mark], LeftOut]:
    """The marks of a project or an export. Raises `ValueError` naming file, picture and region."""
    marks, left_out = [], LeftOut()
    for key, entry in content.get(PROJECT, content).items():
        if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str):
            raise ValueError(f"{path}, {key!r}: expected a picture with filename and regions")
        regions = entry.get("regions") or []
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        for i, region in enumerate(regions):
            where = f"{path}, {entry['filename']}, region {i}"
            shape, attributes = (
                region.get("shape_attributes") or {},
                region.get("region_attributes") or {},
            )
            mark = _mark(where, entry["filename"], shape, attributes, media, choice, left_out)
            marks += [mark] if mark else []
    return marks, left_out


def read_via2_csv(path: Path, media: Media, choice: Choice) -> tuple[list[Mark], LeftOut]:
    """The marks of a CSV export. Raises `ValueError` naming file and line."""
    marks, left_out = [], LeftOut()
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        reader.fieldnames = [name.lstrip("#").strip() for name in reader.fieldnames or []]
        missing = [name for name in COLUMNS if name not in reader.fieldnames]
        if missing:
            raise ValueError(f"{path}, line 1: no column {', '.join(missing)}")
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            name, shape_text, attribute_text = (row[column] or "" for column in COLUMNS)
            shape, attributes = parse_json(shape_text, where), parse_json(attribute_text, where)
            if not shape:  # a picture without regions
                continue
            mark = _mark(where, name, shape, attributes, media, choice, left_out)
            marks += [mark] if mark else []
    return marks, left_out


def parse_json(text: str, where: str) -> Any:
    """A cell that holds JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: expected JSON, got {text!r}: {error}") from error


def _mark(
    where: str,
    name: str,
    shape: dict[str, Any],
    attributes: dict[str, Any],
    media: Media,
    choice: Choice,
    left_out: LeftOut,
) -> Mark | None:
    """The mark of one region; None for a region that is no rectangle."""
    if shape.get("name") != "rect":
        left_out.add(f"shapes that are no boxes ({shape.get('name')})", where)
        return None
    video, time = media.picture_moment(name, where, choice.video_of)
    values = [v for key, value in attributes.items() if choice.is_action(key) for v in _set(value)]
    person = str(attributes.get(choice.person, "")).strip()
    size = media.frame_size(video, where, name)
    return Mark(where, video, time, _corners(shape, where), size, named(values), person or None)


def _set(value: Any) -> list[str]:
    """What an attribute says: the options that are ticked, or its text."""
    if isinstance(value, dict):
        return [key for key, ticked in value.items() if ticked is True]
    return [str(value)]


def _corners(shape: dict[str, Any], where: str) -> Box:
    x, y, width, height = (parse_number(str(shape.get(n, "")), n, where) for n in SIDES)
    return x, y, x + width, y + height
