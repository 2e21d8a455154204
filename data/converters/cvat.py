"""CVAT's "CVAT for video 1.1" (XML, or the zip around it): tracks of one object each.

    <annotations>
      <meta> <task> <source>a.mp4</source> <original_size>...  <labels>... </task> </meta>
      <track id="0" label="person">
        <box frame="30" outside="0" xtl= ytl= xbr= ybr=> <attribute name="action">walk</attribute>

A track is a person. Its actions are the values of its attributes; a checkbox that is set is an
action of the attribute's name; where a box has no attributes, the track's label is its action.
Frames are numbers in the source video, whatever frame step the task has; see `cvat_meta` for
projects. A rotated box becomes the upright box around it. Files that hold only some frames of a
track mean the boxes between these, too, and the last one until the track is `outside`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import cos, radians, sin
from pathlib import Path
from xml.etree.ElementTree import Element

from data.converters.between import interpolated
from data.converters.cvat_meta import Meta, Task, read_meta
from data.converters.marks import Box, Choice, Mark, Reading
from data.converters.media import Media
from data.converters.names import VideoNames, clean_name, named
from data.converters.values import parse_count, parse_decimal, parse_pixels
from data.converters.xml_parts import TRACK, open_annotation, read_parts
from data.video.folders import printable

LABEL = "label"
CORNERS = ("xtl", "ytl", "xbr", "ybr")
FORMAT = "export it as 'CVAT for video 1.1'"


def read_cvat(path: Path, media: Media, choice: Choice) -> Reading:
    """Read one `.xml` or `.zip` file. Raises `ValueError` naming file, track and frame."""
    reader = _Reader(path, media, choice)
    with open_annotation(path) as file:
        for track, element in read_parts(file, str(path)):
            if track is not None:
                reader.add_shape(track, element)
            elif element.tag == "meta":
                reader.add_meta(element)
            elif element.tag == TRACK:
                reader.end_track(element)
            elif element.tag == "image":
                raise ValueError(
                    f"{path}: annotation of single images, without tracks: {FORMAT} instead of "
                    "'CVAT for images'"
                )
    if not reader.tracks:
        raise ValueError(f"{path}: no <track> in this file: {FORMAT}")
    return reader.reading


@dataclass
class _Reader:
    """Turns the parts of one file into marks, in their order.

    Attributes:
        tracks: How many have ended.
        person: Of the track that is being read.
        last: The mark before in that track, if it still lasts; its frame in the video, and in the
            file.
    """

    path: Path
    media: Media
    choice: Choice
    reading: Reading = field(default_factory=Reading)
    meta: Meta | None = None
    tracks: int = 0
    person: str | None = None
    last: tuple[Mark, int, str] | None = None
    _persons: dict[str, set[str]] = field(default_factory=dict)
    _tasks: dict[str, list[Task]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = VideoNames(self.choice.video)
        self.reading.attributes.add(LABEL)

    def add_meta(self, element: Element) -> None:
        if self.meta is not None or self.tracks:
            raise ValueError(f"{self.path}: expected one <meta>, before the tracks")
        self.meta = read_meta(element, str(self.path), self.path.stem)

    def end_track(self, _: Element) -> None:
        self.tracks += 1
        self.person = self.last = None

    def add_shape(self, track: Element, shape: Element) -> None:
        """Take in a shape of a track, or count it where it is no box."""
        number = track.get("id", "")[:20] or f"number {self.tracks + 1}"
        where = f"{self.path}, track {number}, frame {shape.get('frame', '?')[:20]}"
        where = where if where.isprintable() else printable(where)
        before, self.last = self.last, None
        if shape.tag != "box":
            self.reading.left_out.add(
                f"shapes that are no boxes ({printable(shape.tag[:40])})", where
            )
            return
        if shape.get("outside") == "1":
            self._end(before, track, shape, number)
            return
        task = self._task_of(track)
        video = self._video_of(task, where)
        frame = task.frame(parse_count(shape.get("frame", ""), "frame", where), where)
        time = self.media.frame_time(video, frame, where)
        size = task.size or self.media.frame_size(video, where)
        labels = self._labels(shape, track.get(LABEL, ""))
        person = self._person(track, video)
        kind = next(iter(named([track.get(LABEL, "")])), None)
        mark = Mark(
            where=where,
            video=video,
            time=time,
            box=_box(shape, size, where),
            size=size,
            labels=labels,
            person=person,
            kind=kind,
        )
        self._add_between(before, mark, frame, shape, number)
        self.reading.marks.append(mark)
        self.last = mark, frame, shape.get("frame", "")

    def _end(
        self, before: tuple[Mark, int, str] | None, track: Element, shape: Element, number: str
    ) -> None:
        """Let the box of `before` last up to the frame where its track leaves the picture."""
        if before is None:
            return
        mark = before[0]
        try:
            frame = self._task_of(track).frame(parse_count(shape.get("frame", ""), "frame", ""), "")
            time = self.media.frame_time(mark.video, frame, mark.where)
        except ValueError:  # an end after the video's; nothing else of this shape is ever read
            return
        self._add_between(before, replace(mark, time=time), frame, shape, number)

    def _add_between(
        self,
        before: tuple[Mark, int, str] | None,
        after: Mark,
        frame: int,
        shape: Element,
        number: str,
    ) -> None:
        """Add what track `number` shows at the whole seconds between two of its boxes."""
        if before is None:
            return
        mark, first, text = before
        last = shape.get("frame", "")
        where = printable(f"{self.path}, track {number}, between frames {text} and {last}")
        for between in interpolated(mark, first, after, frame, self.media):
            self.reading.marks.append(replace(between, where=where))

    def _task_of(self, track: Element) -> Task:
        """The task that a track names, or the only one."""
        meta = self.meta = self.meta or Meta()
        if not meta.tasks:
            meta.tasks[""] = Task("", self.path.stem)
        number = track.get("task_id", "").strip()
        if number in meta.tasks:
            return meta.tasks[number]
        if not number and len(meta.tasks) == 1:
            return next(iter(meta.tasks.values()))
        raise ValueError(
            f"{self.path}, track {track.get('id')}: of task {number or '(none)'}, expected one of "
            f"{', '.join(list(meta.tasks)[:20]) or 'none'}"
        )

    def _video_of(self, task: Task, where: str) -> str:
        """The name of the task's video; several tasks may hold parts of one, not the same part."""
        video = self._names.of(task.source, where)
        known = self._tasks.setdefault(video, [])
        if task in known:
            return video
        for other in known:
            if other.frames is None or task.frames is None or _overlap(other.frames, task.frames):
                raise ValueError(
                    f"{where}: tasks {other.number} and {task.number} both have a video "
                    f"{video!r} and the same frames of it: export and convert them one by one, "
                    "with --video where they are two videos"
                )
        known.append(task)
        if not task.has_source and self.choice.video is None:
            self.reading.notes.append(
                f"{self.path}: names no video file; called {video!r}, --video gives another name"
            )
        return video

    def _person(self, track: Element, video: str) -> str:
        """Who a track is: each track is a person, also where ids are missing or stand twice."""
        if self.person is None:
            known = self._persons.setdefault(video, set())
            number = track.get("id", "").strip()
            if not number or number in known:
                number = f"{number} (track number {self.tracks + 1})"
            known.add(number)
            self.person = number
        return self.person

    def _labels(self, shape: Element, label: str) -> tuple[str, ...]:
        """The actions of one box."""
        values: list[str] = []
        attributes = [
            (clean_name(a.get("name", "")), a.text or "") for a in shape.iter("attribute")
        ]
        actions = self.choice.actions
        if not attributes if actions is None else LABEL in actions:
            values.append(label)
        inputs = self.meta.inputs if self.meta else {}
        for name, value in attributes:
            self.reading.attributes.add(name)
            if not self.choice.is_action(name):
                continue
            kind = inputs.get((clean_name(label), name), "")
            if kind == "checkbox" or (not kind and value in ("true", "false")):
                values += [name] if value == "true" else []
            elif kind != "number":
                values.append(value)
        return named(values)


def _overlap(one: range, two: range) -> bool:
    return max(one[0], two[0]) <= min(one[-1], two[-1])


def _box(shape: Element, size: tuple[int, int], where: str) -> Box:
    """The corners of a box [pixels]; of a turned one those of the upright box around it.

    CVAT turns a box clockwise around its centre. What of it is outside the picture is cut off.
    """
    x1, y1, x2, y2 = (parse_pixels(shape.get(name, ""), name, where) for name in CORNERS)
    rotation = shape.get("rotation")
    angle = 0 if rotation is None else parse_decimal(rotation, "rotation", where) % 360
    if not angle or not (x1 < x2 and y1 < y2):
        return x1, y1, x2, y2
    turn = radians(angle)
    width, height = x2 - x1, y2 - y1
    half_width = (abs(width * cos(turn)) + abs(height * sin(turn))) / 2
    half_height = (abs(width * sin(turn)) + abs(height * cos(turn))) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return (
        max(x - half_width, 0.0),
        max(y - half_height, 0.0),
        min(x + half_width, float(size[1])),
        min(y + half_height, float(size[0])),
    )
