"""The head of CVAT's XML, `<meta>`: the videos of a task, a job or a project, and the attributes.

The layout has changed over the years and depends on what was exported: `<original_size>` and
`<source>` are in `<task>` or beside it (jobs, tasks of 2021), and a job has no name.

A project's export numbers the frames of all tasks of a subset in one row, in the order of the
tasks' ids: each task shifts the next by start frame + step * size. The frame numbers of a task
already include its start frame and step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from data.converters.names import clean_name
from data.converters.values import parse_count, shown

Size = tuple[int, int]
LARGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class Task:
    """A video of the file.

    Attributes:
        number: Its id in CVAT.
        source: The video's name or path.
        size: (height, width) in pixels if the file says so.
        frames: The numbers in the video of the annotated frames, None if the file does not say.
        shift: What the file's frame numbers are ahead of the video's.
        alone: Whether the file has no other video.
        has_source: Whether `source` is the video's own name.
    """

    number: str
    source: str
    size: Size | None = None
    frames: range | None = None
    shift: int = 0
    alone: bool = True
    has_source: bool = False

    def frame(self, number: int, where: str) -> int:
        """The number in the video of the file's frame `number`."""
        frame = number - self.shift
        if not self.alone and self.frames is not None and frame not in self.frames:
            first, last = self.frames[0] + self.shift, self.frames[-1] + self.shift
            raise ValueError(
                f"{where}: task {self.number} has the frames {first} to {last} of this project"
                + (f", every {self.frames.step}th" if self.frames.step > 1 else "")
            )
        return frame


@dataclass
class Meta:
    """Tasks by id, and the input type of each label's attributes, by (label, attribute)."""

    tasks: dict[str, Task] = field(default_factory=dict)
    inputs: dict[tuple[str, str], str] = field(default_factory=dict)


def read_meta(meta: Element, where: str, fallback: str) -> Meta:
    """Read `<meta>`.

    Args:
        where: The file.
        fallback: The name of a video that has none here.

    Raises:
        ValueError: Naming the file and the task.
    """
    heads = [*meta.iterfind("task"), *meta.iterfind("project/tasks/task")]
    heads = heads or list(meta.iterfind("job"))
    shifts = _shifts(heads, where) if len(heads) > 1 else {}
    tasks = {}
    for head in heads:
        number = _text(head, "id")
        if number in tasks:
            raise ValueError(f"{where}: two tasks have the id {number or '(none)'}")
        at = f"{where}, task {number or '?'}"
        beside = meta if len(heads) == 1 else head
        source = _text(head, "source") or _text(beside, "source")
        size = head.find("original_size")
        size = beside.find("original_size") if size is None else size
        tasks[number] = Task(
            number=number,
            source=source or _text(head, "name") or fallback,
            size=None if size is None else _size(size, at),
            frames=_frames(head, at),
            shift=shifts.get(number, 0),
            alone=len(heads) == 1,
            has_source=bool(source),
        )
    return Meta(tasks, _inputs(meta))


def _inputs(meta: Element) -> dict[tuple[str, str], str]:
    return {
        (clean_name(_text(label, "name")), clean_name(_text(attribute, "name"))): _text(
            attribute, "input_type"
        )
        for label in meta.iter("label")
        for attribute in label.iter("attribute")
    }


def _shifts(heads: Iterable[Element], where: str) -> dict[str, int]:
    """By id of each task, how far the tasks before it in its subset shift its frames."""
    subsets: dict[str, list[tuple[int, Element]]] = {}
    for head in heads:
        number = parse_count(_text(head, "id"), "task id", where, most=2**63 - 1)
        subsets.setdefault(_text(head, "subset") or "default", []).append((number, head))
    shifts = {}
    for subset in subsets.values():
        shift = 0
        subset.sort(key=lambda entry: entry[0])
        for number, head in subset:
            shifts[_text(head, "id")] = shift
            if head is not subset[-1][1]:
                frames = _frames(head, f"{where}, task {number}")
                if frames is None:
                    raise ValueError(
                        f"{where}, task {number}: no <size>, by which the frames of the project's "
                        "next task are shifted: export the tasks one by one"
                    )
                shift += frames.stop
    return shifts


def _frames(head: Element, where: str) -> range | None:
    """The numbers of a task's frames in its video; its `stop` is start frame + step * size."""
    if not _text(head, "size"):
        return None
    size = parse_count(_text(head, "size"), "size", where)
    start = parse_count(_text(head, "start_frame") or 0, "start_frame", where)
    filters = _text(head, "frame_filter")
    found = re.fullmatch(r"(?:step\s*=\s*(\d{1,9}))?", filters, re.ASCII)
    if found is None or (found[1] is not None and int(found[1]) == 0):
        raise ValueError(f"{where}: frame_filter is {shown(filters)}, expected step=<number>")
    step = int(found[1] or 1)
    return range(start, start + step * size, step) if size else None


def _size(element: Element, where: str) -> Size:
    height, width = (
        parse_count(_text(element, name), f"original_size's {name}", where, 1, LARGEST_SIDE)
        for name in ("height", "width")
    )
    return height, width


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()
