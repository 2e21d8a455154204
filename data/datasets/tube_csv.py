"""Tubes as plain CSV files: `video,frame,x1,y1,x2,y2,label,tube` with a header, one row per box.

Frames are counted from 1, boxes are in pixels of the video, the last pixel included; labels are
names; `tube` is any text that tells the tubes of a video apart. `external.act_evaluation` reads the
same files. What they do not hold is in a second file beside, `<name>.videos.csv`, with a header
`video,frames,height,width`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.datasets.tube_annotations import TubeAnnotations, places
from external.act_evaluation.reading import Names, read_tubes
from external.files import read_csv
from utils.formats.ava_csv import check_video_name
from utils.system.outputs import write_whole

HEADER = ("video", "frame", "x1", "y1", "x2", "y2", "label", "tube")
VIDEOS_HEADER = ("video", "frames", "height", "width")
VIDEOS_SUFFIX = ".videos.csv"

# Largest number of frames and largest side [pixels] of a video.
LARGEST = 10**8

VideoFacts = tuple[int, int, int]
"""Frames, height and width [pixels] of a video; 0 where that is not known."""


def is_tube_csv(path: str | Path) -> bool:
    """Whether a CSV file is meant as one of tubes, right or wrong; if not, it has AVA's rows.

    A header tells, also one that lacks columns or has another separator. AVA's files have none, and
    at least two cells in a row.
    """
    first = next(read_csv(path, "CSV file of annotations"), (0, [""]))[1]
    cells = re.split("[,;\t]", ",".join(first))
    return len(first) < 2 or len({cell.strip().lower() for cell in cells} & set(HEADER)) > 1


def read_tube_csv(
    path: str | Path,
    classes: Sequence[str] | None = None,
    facts: Mapping[str, VideoFacts] | None = None,
    source: str = "the label map",
) -> TubeAnnotations:
    """Read tubes; a video's tubes stay in the order of their first rows.

    Args:
        classes: Names in the order of their indices; `None`: the file's own, sorted.
        facts: Frames and size of videos (`read_video_facts`); those without tubes are listed, too.
        source: Where `classes` are from, for messages.

    Raises:
        ValueError: Naming file and line for what is not such a row, a tube with a gap or two
            labels, a label that is not in `classes`, and a file without a tube.
    """
    numbers = {name: i for i, name in enumerate(classes or ())}
    names = Names(labels=numbers, closed=bool(classes), source=source)
    tubes = read_tubes(path, names, scored=False)
    if not len(tubes):
        raise ValueError(f"{path}: holds no tube")
    labels = list(classes) if classes else sorted(names.labels)
    label_of = np.array([labels.index(name) for name in names.labels], np.int64)
    known = facts or {}
    videos = sorted({*names.videos, *known})
    number = {video: i for i, video in enumerate(videos)}
    video_of = np.array([number[name] for name in names.videos], np.int64)
    tubes = replace(tubes, video=video_of[tubes.video], label=label_of[tubes.label])
    tubes = tubes[np.argsort(tubes.video, kind="stable")]
    table = np.array([known.get(video, (0, 0, 0)) for video in videos], np.int64)
    return TubeAnnotations(labels, videos, table[:, 0], table[:, 1:], tubes)


def read_video_facts(path: str | Path) -> dict[str, VideoFacts]:
    """Read `video,frames,height,width`.

    Raises:
        ValueError: Naming file and line for another header, what is no whole number of 0 or more,
            an empty video, one that leads out of a folder, and a video that stands twice.
    """
    found: dict[str, VideoFacts] = {}
    rows = read_csv(path, "CSV file of videos")
    header = [cell.strip().lower() for cell in next(rows, (0, [""]))[1]]
    if header != list(VIDEOS_HEADER):
        raise ValueError(f"{path}, line 1: expected the header {','.join(VIDEOS_HEADER)}")
    for line, cells in rows:
        where = f"{path}, line {line}"
        if len(cells) != len(header):
            raise ValueError(f"{where}: expected {len(header)} cells, got {len(cells)}")
        video = cells[0].strip()
        if not video:
            raise ValueError(f"{where}: video: expected a name, got {cells[0]!r}")
        if check_video_name(video, where) in found:
            raise ValueError(f"{where}: video {video!r} stands twice")
        frames, height, width = (
            _count(cell, name, where) for cell, name in zip(cells[1:], header[1:], strict=True)
        )
        found[video] = (frames, height, width)
    return found


def _count(cell: str, name: str, where: str) -> int:
    text = cell.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= LARGEST):
        raise ValueError(f"{where}: {name}: expected a whole number of 0 or more, got {cell!r}")
    return int(text)


def videos_path(path: Path) -> Path:
    """The file beside `path`, a CSV file of tubes, that tells frames and size of its videos."""
    return path.with_suffix(VIDEOS_SUFFIX)


def write_tube_csv(annotations: TubeAnnotations, path: Path) -> None:
    """Write tubes, whole or not at all; a video's tubes are numbered from 0."""
    stream = io.StringIO(newline="")
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(HEADER)
    rows.writerows(_rows(annotations))
    write_whole(path, stream.getvalue())


def _rows(annotations: TubeAnnotations) -> Iterator[list[str]]:
    tubes = annotations.tubes
    place = places(tubes)
    for tube in range(len(tubes)):
        video = annotations.videos[tubes.video[tube]]
        tail = [annotations.classes[tubes.label[tube]], str(place[tube])]
        boxes = tubes.boxes[tubes.ends[tube] : tubes.ends[tube + 1]].tolist()
        for frame, box in enumerate(boxes, int(tubes.start[tube])):
            yield [video, str(frame), *map(_text, box), *tail]


def _text(value: float) -> str:
    """The shortest text that gives the same number back."""
    return repr(value).removesuffix(".0")


def write_video_facts(annotations: TubeAnnotations, path: Path) -> None:
    """Write `video,frames,height,width` of all videos, whole or not at all."""
    stream = io.StringIO(newline="")
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(VIDEOS_HEADER)
    counts, sizes = annotations.frame_counts.tolist(), annotations.sizes.tolist()
    rows.writerows(
        [video, frames, *size]
        for video, frames, size in zip(annotations.videos, counts, sizes, strict=True)
    )
    write_whole(path, stream.getvalue())
