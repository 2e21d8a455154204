"""CVAT's "CVAT for video 1.1" (XML): tracks of one object each, a box for every frame.

    <annotations>
      <meta> <task> <source>a.mp4</source> <original_size>...  <labels>... </task> </meta>
      <track id="0" label="person">
        <box frame="30" outside="0" xtl= ytl= xbr= ybr=> <attribute name="action">walk</attribute>

A track is a person. Its actions are the values of its attributes; a checkbox that is set is an
action of the attribute's name; where a box has no attributes, the track's label is its action.
Frames are numbers in the source video, whatever frame step the task has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from data.converters.marks import Box, Choice, LeftOut, Mark, named
from data.converters.media import Media, video_name
from utils.ava_csv import parse_number, parse_whole

LABEL = "label"
CORNERS = ("xtl", "ytl", "xbr", "ybr")
SHAPES = {"polygon", "polyline", "points", "mask", "skeleton", "cuboid", "ellipse"}


@dataclass(frozen=True)
class Task:
    """A video of the file: its name, and (height, width) in pixels if the file says so."""

    video: str
    size: tuple[int, int] | None


@dataclass
class Meta:
    """The head of the file: tasks by id, and the input type of each label's attributes."""

    tasks: dict[str, Task] = field(default_factory=dict)
    inputs: dict[tuple[str, str], str] = field(default_factory=dict)


def read_cvat(path: Path, media: Media, choice: Choice) -> tuple[list[Mark], LeftOut]:
    """Read one XML file. Raises `ValueError` naming file, track and frame."""
    meta, left_out = Meta(), LeftOut()
    marks: list[Mark] = []
    found = False
    for element in _elements(path):
        if element.tag == "meta":
            meta = _read_meta(element, path)
        elif element.tag == "track":
            found = True
            marks += _track(element, meta, path, media, choice, left_out)
            element.clear()  # every frame of every track would stay in memory
        elif element.tag == "image":
            raise ValueError(
                f"{path}: annotation of single images, without tracks: export the task as "
                "'CVAT for video 1.1'"
            )
    if not found:
        raise ValueError(f"{path}: no <track> in this file, expected 'CVAT for video 1.1'")
    return marks, left_out


def _elements(path: Path) -> Iterator[Element]:
    try:
        for _, element in ElementTree.iterparse(path):
            yield element
    except ElementTree.ParseError as error:
        line, column = error.position
        raise ValueError(f"{path}, line {line}: not XML: {error} (column {column})") from error


def _read_meta(element: Element, path: Path) -> Meta:
    """Tasks (a job counts as one, a project has several) and attributes."""
    meta = Meta()
    for task in (*element.iter("task"), *element.iter("job")):
        name = task.findtext("source") or task.findtext("name") or path.stem
        size = task.find("original_size")
        meta.tasks[(task.findtext("id") or "").strip()] = Task(
            video_name(name), None if size is None else _size(size, path)
        )
    for label in element.iter("label"):
        for attribute in label.iter("attribute"):
            key = (label.findtext("name") or "", attribute.findtext("name") or "")
            meta.inputs[key] = attribute.findtext("input_type") or ""
    return meta


def _size(element: Element, path: Path) -> tuple[int, int]:
    where = f"{path}, original_size"
    height, width = (element.findtext(name) or "" for name in ("height", "width"))
    return parse_whole(height, "height", where), parse_whole(width, "width", where)


def _track(
    track: Element, meta: Meta, path: Path, media: Media, choice: Choice, left_out: LeftOut
) -> Iterator[Mark]:
    number, label = track.get("id", "?"), track.get(LABEL, "")
    task = _task_of(track, meta, path, choice)
    for shape in track:
        where = f"{path}, track {number}, frame {shape.get('frame')}"
        if shape.tag in SHAPES:
            left_out.add(f"shapes that are no boxes ({shape.tag})", where)
        if shape.tag != "box" or shape.get("outside") == "1":
            continue
        frame = parse_whole(shape.get("frame", ""), "frame", where)
        yield Mark(
            where,
            task.video,
            media.frame_time(task.video, frame, where),
            _box(shape, where),
            task.size or media.frame_size(task.video, where),
            _labels(shape, label, meta, choice),
            number,
        )


def _task_of(track: Element, meta: Meta, path: Path, choice: Choice) -> Task:
    """The video of a track: the one it names, or the only one."""
    tasks = meta.tasks
    only = next(iter(tasks.values())) if len(tasks) == 1 else None
    task = tasks.get(track.get("task_id", ""), only)
    if task is None and not tasks:
        task = Task(path.stem, None)
    if task is None:
        raise ValueError(f"{path}, track {track.get('id')}: of which task, of {', '.join(tasks)}?")
    return Task(choice.video_of(task.video), task.size)


def _box(shape: Element, where: str) -> Box:
    x1, y1, x2, y2 = (parse_number(shape.get(name, ""), name, where) for name in CORNERS)
    return x1, y1, x2, y2


def _labels(shape: Element, label: str, meta: Meta, choice: Choice) -> tuple[str, ...]:
    values: list[str] = []
    attributes = [(a.get("name", ""), a.text or "") for a in shape.iter("attribute")]
    if not attributes if choice.actions is None else LABEL in choice.actions:
        values.append(label)
    for name, value in attributes:
        if not choice.is_action(name):
            continue
        kind = meta.inputs.get((label, name), "")
        if kind == "checkbox" or (not kind and value in ("true", "false")):
            values += [name] if value == "true" else []
        elif kind != "number":
            values.append(value)
    return named(values)
