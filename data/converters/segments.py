"""Segments in time from annotation tools: VIA 3, CVAT and Label Studio.

VIA 3 (project, JSON)   a segment on the timeline: two times and no box; its attribute is the class
CVAT for video 1.1      a track: from its first box to where it is outside; its label is the class
Label Studio (JSON)     a range of the timeline, in frames from 1, or a region with start and end
                        in seconds
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from data.converters.cvat_meta import Meta, Task, read_meta
from data.converters.media import Media
from data.converters.names import VideoNames, clean_name
from data.converters.values import parse_count, parse_time, shown
from data.converters.via3 import Project, attributes_of, is_via3, project_regions, texts_of
from data.converters.xml_parts import TRACK, open_annotation, read_parts
from data.prepare.snippet_frames import duration_of
from external.files import read_json
from utils.formats.schema import check_shape

ENDINGS = (".xml", ".zip")
UPLOADED = re.compile(r"^[0-9a-f]{8}-")


class NamedSegment(NamedTuple):
    """A segment.

    Attributes:
        start, end: Seconds from the video's first frame.
        where: File and place in it.
    """

    video: str
    start: float
    end: float
    label: str
    where: str


@dataclass
class SegmentReading:
    """What a file says.

    Attributes:
        left_out: Reason to number, of what is no segment.
    """

    segments: list[NamedSegment] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        """Count something that is no segment."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def read_tool_segments(path: Path, media: Media, attribute: str = "") -> SegmentReading:
    """Read a file by its ending and content.

    Args:
        media: When a frame is shown.
        attribute: Of VIA, the one that names the class; empty: the only one.

    Raises:
        ValueError: Naming the file and the place for what cannot be read, and for a segment that
            does not end after its start.
    """
    if path.suffix.lower() in ENDINGS:
        reading = _read_cvat(path, media)
    else:
        content = read_json(path, "file of annotation")
        if isinstance(content, dict) and is_via3(content):
            reading = _read_via3(path, content, media, attribute)
        elif isinstance(content, list):
            reading = _read_label_studio(path, content, media)
        else:
            raise ValueError(
                f"{path}: expected a project of VIA 3, a JSON export of Label Studio, or CVAT's "
                ".xml or .zip"
            )
    for segment in reading.segments:
        if segment.end <= segment.start:
            raise ValueError(
                f"{segment.where}: expected an end after the start, got {segment.start:g} s to "
                f"{segment.end:g} s"
            )
    return reading


def find_durations(segments: Iterable[NamedSegment], media: Media) -> dict[str, float]:
    """Return the duration of every video [s], by its file.

    Raises:
        ValueError: Naming the first video that has none.
    """
    found: dict[str, float] = {}
    for segment in segments:
        file = media.video_file(segment.video)
        if file is None:
            raise ValueError(
                f"{segment.where}: the duration of video {segment.video!r} is not known: give "
                "--media with its folder"
            )
        found[segment.video] = duration_of(file)
    return found


def _read_via3(path: Path, content: dict[str, Any], media: Media, attribute: str) -> SegmentReading:
    project = check_shape(content, Project, path, "a project of VIA 3")
    attributes = attributes_of(project.attribute, str(path))
    chosen = _chosen([clean_name(a.aname) for a in attributes.values()], attribute, path)
    reading, names = SegmentReading(), VideoNames()
    for region in project_regions(path, project):
        if region.shape or len(region.times) != 2:
            reading.skip("regions that are no segments in time")
            continue
        video = names.of(region.file, region.where, region.by_url)
        start, end = (
            float(media.since_first_frame(video, parse_time(value, "time", region.where)))
            for value in region.times
        )
        labels = [
            text
            for number, value in region.values.items()
            if number in attributes and clean_name(attributes[number].aname) == chosen
            for text in texts_of(attributes[number], value, region.where)
        ]
        if not labels:
            reading.skip("segments without a class")
        for label in labels:
            segment = NamedSegment(video, start, end, clean_name(label), region.where)
            reading.segments.append(segment)
    return reading


def _chosen(names: Sequence[str], wanted: str, path: Path) -> str:
    """The attribute that names the class."""
    if wanted in names:
        return wanted
    if not wanted and len(names) == 1:
        return names[0]
    known = ", ".join(names) or "none"
    raise ValueError(f"{path}: give --attribute, which names the class; there are {known}")


def _read_cvat(path: Path, media: Media) -> SegmentReading:
    reading, names, meta = SegmentReading(), VideoNames(), Meta()
    shown_at: dict[int, bool] = {}
    with open_annotation(path) as file:
        for track, element in read_parts(file, str(path)):
            if track is not None:
                where = f"{path}, track {track.get('id', '?')[:20]}"
                number = parse_count(element.get("frame", ""), "frame", where)
                shown_at[number] = element.get("outside") != "1"
            elif element.tag == "meta":
                meta = read_meta(element, str(path), path.stem)
            elif element.tag == TRACK:
                where = f"{path}, track {element.get('id', '?')[:20]}"
                task = _task_of(meta, element.get("task_id", "").strip(), path, where)
                video, label = names.of(task.source, where), clean_name(element.get("label", ""))
                for first, last in _runs(shown_at):
                    start, end = (
                        float(media.frame_time(video, task.frame(frame, where), where))
                        for frame in (first, last)
                    )
                    reading.segments.append(NamedSegment(video, start, end, label, where))
                shown_at = {}
            elif element.tag == "image":
                raise ValueError(f"{path}: single images: export it as 'CVAT for video 1.1'")
    return reading


def _task_of(meta: Meta, number: str, path: Path, where: str) -> Task:
    tasks = meta.tasks or {"": Task("", path.stem)}
    if number not in tasks and (number or len(tasks) != 1):
        raise ValueError(f"{where}: of task {shown(number)}, expected {', '.join(tasks)}")
    return tasks[number] if number in tasks else next(iter(tasks.values()))


def _runs(shown_at: dict[int, bool]) -> Iterator[tuple[int, int]]:
    """Runs of frames in which an object is seen: the first frame, and one past the last."""
    first: int | None = None
    last = 0
    for frame in sorted(shown_at):
        if shown_at[frame]:
            first = frame if first is None else first
            last = frame
        elif first is not None:
            yield first, frame
            first = None
    if first is not None:
        yield first, last + 1


def _read_label_studio(path: Path, tasks: list[Any], media: Media) -> SegmentReading:
    reading, names = SegmentReading(), VideoNames()
    for place, task in enumerate(tasks):
        where = f"{path}, task {place}"
        video = _uploaded(names.of(_media_of(task, where), where, url=True), media)
        for number, entry in enumerate(_results_of(task, where)):
            here = f"{where}, result {number}"
            value = entry.get("value") if isinstance(entry, dict) else None
            if not isinstance(value, dict):
                raise ValueError(f"{here}: expected an object with 'value', got {shown(entry)}")
            spans = list(_spans(value, video, media, here))
            labels = _labels(value, here)
            if not spans or not labels:
                reading.skip("results that are no segments in time")
            for start, end in spans:
                reading.segments += [
                    NamedSegment(video, start, end, clean_name(label), here) for label in labels
                ]
    return reading


def _uploaded(name: str, media: Media) -> str:
    """The name of a video before it was uploaded, if that is the one which is there.

    Label Studio writes eight hexadecimal digits and a hyphen before it.
    """
    before = UPLOADED.sub("", name)
    return before if media.video_file(name) is None and media.video_file(before) else name


def _media_of(task: Any, where: str) -> str:
    """The video of a task: in `data`, or, of the short JSON, in the task itself."""
    data = task.get("data", task) if isinstance(task, dict) else {}
    for key in ("video", "video_url", "url", "audio"):
        if isinstance(data.get(key), str):
            address = urlsplit(data[key])
            # Label Studio's local storage: /data/local-files/?d=folder/video.mp4
            local = parse_qs(address.query).get("d") if "local-files" in address.path else None
            return local[0] if local else str(data[key])
    raise ValueError(f"{where}: expected data.video, the name of the video")


def _results_of(task: dict[str, Any], where: str) -> list[Any]:
    """The regions of a task: of its first annotation that was not cancelled."""
    annotations = task.get("annotations", task.get("completions", []))
    if not isinstance(annotations, list):
        raise ValueError(f"{where}: expected a list of annotations, got {shown(annotations)}")
    for annotation in annotations:
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            results = annotation.get("result", [])
            if not isinstance(results, list):
                raise ValueError(f"{where}: expected a list of results, got {shown(results)}")
            return results
    return []


def _spans(
    value: dict[str, Any], video: str, media: Media, where: str
) -> Iterator[tuple[float, float]]:
    """Start and end [s] of a region: ranges of frames, from 1, both included; or seconds."""
    if isinstance(value.get("ranges"), list):
        for span in value["ranges"]:
            if not isinstance(span, dict):
                raise ValueError(f"{where}: expected ranges of frames, got {shown(span)}")
            first, last = (
                parse_count(span.get(name, ""), name, where) for name in ("start", "end")
            )
            start = media.frame_time(video, max(first - 1, 0), where)
            yield float(start), float(media.frame_time(video, last, where))
    elif "start" in value and "end" in value:
        start, end = (parse_time(value[name], name, where) for name in ("start", "end"))
        yield float(start), float(end)


def _labels(value: dict[str, Any], where: str) -> list[str]:
    for key in ("timelinelabels", "labels", "tracktimelabels"):
        if key in value:
            return check_shape(value[key], list[str], where, "a list of labels")
    return []
