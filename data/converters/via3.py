"""VIA 3 (video annotator): a project (JSON) or its CSV export.

    {"attribute": {"1": {"aname": "action", "type": 2, "options": {"0": "walk", "1": "talk"}}},
     "file": {"1": {"fname": "a.mp4", "type": 4}}, "view": {"1": {"fid_list": ["1"]}},
     "metadata": {"1_x": {"vid": "1", "z": [2.0], "xy": [2, x, y, w, h], "av": {"1": "0,1"}}}}

A region has the time `z` on a video, or stands on a picture whose name tells video and frame. The
time is the player's, which begins with the file, not with its first picture. The values `av` are
option numbers (several of a checkbox, joined by commas) or, for a text, the text. Segments in time
(no `xy`) are no boxes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.converters.marks import Box, Choice, Mark, Reading
from data.converters.media import Media
from data.converters.names import VideoNames, clean_name, named
from data.converters.values import parse_pixels, parse_time, shown
from data.converters.via2 import parse_cell, person_of
from data.video.folders import printable
from external.files import parsing, read_text
from utils.formats.schema import check_shape

RECTANGLE, EXTREME_RECTANGLE = 2, 8
TEXT, CHECKBOX = 1, 2
BY_URL = (2, 3)
"""`loc` of files that are named by a URL, on the web or on the disk."""

CSV_COLUMNS = 6
ATTRIBUTE_LINE = "# ATTRIBUTE ="
SHAPES = {1: "point", 3: "circle", 4: "ellipse", 5: "line", 6: "polyline", 7: "polygon"}

Value = str | int | float | None


@dataclass
class Attribute:
    """An entry of `attribute`."""

    aname: str
    type: int = TEXT
    options: dict[str, str | int | float] | None = None


@dataclass
class File:
    """An entry of `file`: its name or URL, and by which of them it is found."""

    fname: str | None = None
    src: Any = None
    loc: int | None = None


@dataclass
class View:
    """An entry of `view`: the files that are shown side by side."""

    fid_list: list[str | int] = field(default_factory=list)


@dataclass
class Metadata:
    """An entry of `metadata`."""

    vid: str | int
    z: list[Any] | None = None
    xy: list[Any] | None = None
    av: dict[str, Value] | None = None


@dataclass
class Project:
    """A project file; its parts are checked one by one, for messages that name them."""

    metadata: dict[str, Any]
    attribute: dict[str, Any]
    file: dict[str, Any]
    view: dict[str, Any] | None = None


@dataclass(frozen=True)
class Region:
    """One entry of `metadata`, as either file has it.

    Attributes:
        by_url: `file` is part of a URL.
    """

    where: str
    file: str
    by_url: bool
    times: list[Any]
    shape: list[Any]
    values: Mapping[str, Value]


def is_via3(content: dict[str, Any]) -> bool:
    """Whether this JSON document is a VIA 3 project."""
    return "metadata" in content and ("attribute" in content or "file" in content)


def read_via3_json(path: Path, content: dict[str, Any], media: Media, choice: Choice) -> Reading:
    """The marks of a project. Raises `ValueError` naming file and region."""
    project = check_shape(content, Project, path, "a project of VIA 3")
    attributes = attributes_of(project.attribute, str(path))
    return _read(project_regions(path, project), attributes, media, choice)


def read_via3_csv(path: Path, media: Media, choice: Choice) -> Reading:
    """The marks of a CSV export. Raises `ValueError` naming file and line."""
    lines = io.StringIO(read_text(path, "CSV export of VIA 3"), newline=None).readlines()
    comments = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    attributes: dict[str, Attribute] = {}
    for number, line in enumerate(lines[:comments], start=1):
        if line.startswith(ATTRIBUTE_LINE):
            where = f"{path}, line {number}"
            content = parse_cell(line.removeprefix(ATTRIBUTE_LINE), where)
            attributes = attributes_of(
                check_shape(content, dict[str, Any], where, "attributes"), where
            )
    if not attributes:
        raise ValueError(
            f"{path}: no line '{ATTRIBUTE_LINE} ...' with the names of the options: export it with "
            "a newer VIA 3, or convert the project (JSON)"
        )
    return _read(_csv_regions(path, lines, comments), attributes, media, choice)


def attributes_of(content: Mapping[str, Any], where: str) -> dict[str, Attribute]:
    """Return the entries of `attribute` by number; raises `ValueError` naming `where`."""
    return {
        key: check_shape(entry, Attribute, f"{where}, attribute {shown(key)}", "an attribute")
        for key, entry in content.items()
    }


def project_regions(path: Path, project: Project) -> Iterator[Region]:
    """Yield the entries of `metadata`; raises `ValueError` naming file and region."""
    for key, content in project.metadata.items():
        where = f"{path}, region {printable(key[:80])}"
        entry = check_shape(content, Metadata, where, "a region of VIA 3")
        number = str(entry.vid)
        # Without views (old and generated projects) a view is the file of the same number.
        if project.view and number in project.view:
            view = check_shape(project.view[number], View, f"{path}, view {number}", "a view")
            number = str(view.fid_list[0]) if view.fid_list else number
        if number not in project.file:
            raise ValueError(f"{where}: no file {shown(number)} in this project")
        file = check_shape(project.file[number], File, f"{path}, file {number}", "a file")
        name = file.fname or (file.src if isinstance(file.src, str) else "")
        by_url = file.loc in BY_URL
        yield Region(where, name, by_url, entry.z or [], entry.xy or [], entry.av or {})


def _csv_regions(path: Path, lines: list[str], comments: int) -> Iterator[Region]:
    rows = csv.reader(lines[comments:], strict=True)
    while True:
        with parsing(f"{path}, line {comments + rows.line_num + 1}", "CSV"):
            cells = next(rows, None)
        if cells is None:
            return
        if not cells or cells[0].startswith("#"):
            continue
        where = f"{path}, line {comments + rows.line_num}"
        if len(cells) < CSV_COLUMNS:
            raise ValueError(f"{where}: expected {CSV_COLUMNS} columns, got {len(cells)}")
        files = check_shape(parse_cell(cells[1], where), list[str], where, "a list of files")
        content = {
            "vid": "",
            "z": parse_cell(cells[3], where),
            "xy": parse_cell(cells[4], where),
            "av": parse_cell(cells[5], where),
        }
        entry = check_shape(content, Metadata, where, "times, a shape and values of attributes")
        if not files:
            raise ValueError(f"{where}: expected the name of a file, got none")
        yield Region(where, files[0], False, entry.z or [], entry.xy or [], entry.av or {})


def _read(
    regions: Iterator[Region], attributes: dict[str, Attribute], media: Media, choice: Choice
) -> Reading:
    reading, names = Reading(), VideoNames(choice.video)
    for region in regions:
        kind = region.shape[0] if region.shape else None
        if kind is None:
            reading.left_out.add("segments in time, without a box", region.where)
        elif kind not in (RECTANGLE, EXTREME_RECTANGLE):
            name = SHAPES.get(kind) if isinstance(kind, int) else None
            name = name or f"shape {shown(kind)}"
            reading.left_out.add(f"shapes that are no boxes ({name})", region.where)
        elif len(region.times) > 1:
            reading.left_out.add("boxes for a stretch of time, not a moment", region.where)
        else:
            reading.marks.append(_mark(region, attributes, media, choice, names, reading))
    return reading


def _mark(
    region: Region,
    attributes: dict[str, Attribute],
    media: Media,
    choice: Choice,
    names: VideoNames,
    reading: Reading,
) -> Mark:
    where, picture = region.where, None
    if region.times:
        video = names.of(region.file, where, region.by_url)
        time = media.since_first_frame(video, parse_time(_plain(region.times[0]), "time", where))
    else:
        video, time = media.picture_moment(region.file, where, names)
        picture = region.file
    labels: list[str] = []
    persons: list[str] = []
    for number, value in region.values.items():
        if number not in attributes:
            raise ValueError(f"{where}: no attribute {shown(number)} in this file")
        name = clean_name(attributes[number].aname)
        texts = texts_of(attributes[number], value, where)
        if name == choice.person:
            persons += texts
        else:
            reading.attributes.add(name)
        if choice.is_action(name):
            labels += texts
    size = media.frame_size(video, where, picture)
    box = _corners(region.shape, where)
    return Mark(
        where=where,
        video=video,
        time=time,
        box=box,
        size=size,
        labels=named(labels),
        person=person_of(persons, where),
    )


def texts_of(attribute: Attribute, value: Value, where: str) -> list[str]:
    """What the value of an attribute says: the text, or the names of the options."""
    if value is None:
        return []
    if attribute.type == TEXT:
        return [str(value)]
    numbers = str(value).split(",") if attribute.type == CHECKBOX else [str(value)]
    options = attribute.options or {}
    for number in numbers:
        if number and number not in options:
            raise ValueError(
                f"{where}: option {shown(number)} of {shown(attribute.aname)}, expected one of "
                f"{', '.join(list(options)[:20])}"
            )
    return [str(options[number]) for number in numbers if number]


def _corners(shape: list[Any], where: str) -> Box:
    if len(shape) != 5:
        raise ValueError(f"{where}: expected [2, x, y, width, height], got {shown(shape)}")
    x, y, width, height = (parse_pixels(_plain(value), "xy", where) for value in shape[1:])
    return x, y, x + width, y + height


def _plain(value: Any) -> str | int | float:
    """A number or a text; anything else as a text that is no number."""
    return value if isinstance(value, int | float) else str(value)
