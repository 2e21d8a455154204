"""VGG Image Annotator 2: pictures with regions; a project, or an export as JSON or CSV.

    {"a_000030.jpg12345": {"filename": "a_000030.jpg", "regions": [
        {"shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4},
         "region_attributes": {"action": {"walk": true}, "person": "0"}}]}}

A region's attributes are actions: text, one option, or the options that are ticked. The attribute
`person` tells who it is. The picture's name tells video and frame.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.converters.marks import Box, Choice, Mark, Reading
from data.converters.media import Media
from data.converters.names import VideoNames, clean_name, named
from data.converters.values import parse_pixels, shown
from data.video.folders import printable
from external.files import parsing, read_csv
from utils.formats.schema import check_shape

PROJECT = "_via_img_metadata"
COLUMNS = ("filename", "region_shape_attributes", "region_attributes")
SIDES = ("x", "y", "width", "height")

Value = str | int | float | bool | dict[str, Any] | None
"""What an attribute says: a text, an option, or the options with whether each is ticked."""


@dataclass
class Region:
    """A region as VIA writes it."""

    shape_attributes: dict[str, Any] | None = None
    region_attributes: dict[str, Value] | None = None


@dataclass
class Picture:
    """A picture as VIA writes it; old versions number the regions in an object."""

    filename: str
    regions: list[Region] | dict[str, Region] | None = None


def read_via2_json(path: Path, content: dict[str, Any], media: Media, choice: Choice) -> Reading:
    """The marks of a project or an export. Raises `ValueError` naming file, picture and region."""
    reader = _Reader(media, choice)
    pictures = content.get(PROJECT, content)
    pictures = check_shape(pictures, dict[str, Any], path, "a VIA project or export")
    for key, entry in pictures.items():
        at = f"{path}, {shown(key)}"
        picture = check_shape(entry, Picture, at, "a picture with filename and regions")
        regions = picture.regions or []
        regions = list(regions.values()) if isinstance(regions, dict) else regions
        for i, region in enumerate(regions):
            at = f"{path}, {printable(picture.filename[:200])}, region {i}"
            reader.add(at, picture.filename, region)
    return reader.reading


def read_via2_csv(path: Path, media: Media, choice: Choice) -> Reading:
    """The marks of a CSV export. Raises `ValueError` naming file and line."""
    reader = _Reader(media, choice)
    rows = read_csv(path, "CSV export of VIA")
    header = [cell.lstrip("#").strip() for cell in next(rows)[1]]
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(f"{path}, line 1: no column {', '.join(missing)}")
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise ValueError(f"{where}: expected {len(header)} columns, got {len(cells)}")
        name, shape, attributes = (cells[header.index(column)] for column in COLUMNS)
        content = {
            "shape_attributes": parse_cell(shape, where),
            "region_attributes": parse_cell(attributes, where),
        }
        region = check_shape(content, Region, where, "a region")
        if region.shape_attributes:  # else a picture without regions
            reader.add(where, name, region)
    return reader.reading


def parse_cell(text: str, where: str) -> Any:
    """What a cell that holds JSON says; None where it is empty."""
    if not text.strip():
        return None
    with parsing(where, f"JSON ({shown(text)})"):
        return json.loads(text)


class _Reader:
    """Turns regions into marks."""

    def __init__(self, media: Media, choice: Choice) -> None:
        self.reading = Reading()
        self._media, self._choice = media, choice
        self._names = VideoNames(choice.video)

    def add(self, where: str, name: str, region: Region) -> None:
        """Take in a region of the picture `name`, or count it where it is no rectangle."""
        shape, attributes = region.shape_attributes or {}, region.region_attributes or {}
        if shape.get("name") != "rect":
            kind = printable(str(shape.get("name"))[:40])
            self.reading.left_out.add(f"shapes that are no boxes ({kind})", where)
            return
        video, time = self._media.picture_moment(name, where, self._names)
        texts = {clean_name(key): _texts(key, value) for key, value in attributes.items()}
        self.reading.attributes |= texts.keys() - {self._choice.person}
        labels = named(v for key, vs in texts.items() if self._choice.is_action(key) for v in vs)
        size = self._media.frame_size(video, where, name)
        person = person_of(texts.get(self._choice.person, []), where)
        self.reading.marks.append(
            Mark(
                where=where,
                video=video,
                time=time,
                box=_corners(shape, where),
                size=size,
                labels=labels,
                person=person,
            )
        )


def person_of(texts: list[str], where: str) -> str | None:
    """The person that an attribute names. Raises `ValueError` where it names several."""
    names = named(texts)
    if len(names) > 1:
        raise ValueError(f"{where}: one box, but the persons {', '.join(map(shown, names))}")
    return names[0] if names else None


def _texts(name: str, value: Value) -> list[str]:
    """What an attribute says: the options that are ticked, its text, or that it holds."""
    if value is None or value is False:
        return []
    if value is True:
        return [name]
    if isinstance(value, dict):
        return [key for key, ticked in value.items() if ticked is True]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return [str(value)]


def _corners(shape: Mapping[str, Any], where: str) -> Box:
    x, y, width, height = (parse_pixels(shape.get(name, ""), name, where) for name in SIDES)
    return x, y, x + width, y + height
