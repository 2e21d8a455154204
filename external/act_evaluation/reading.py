"""Ground truth and results as CSV files with a header.

Ground truth and tubes: `video,frame,x1,y1,x2,y2,label,tube[,score]`, one row per box; a tube's
frames follow one another without a gap. Boxes on frames: `video,frame,x1,y1,x2,y2,label,score`.
Frames are counted from 1; boxes are in pixels of the video, the last pixel included; labels and
tubes are names, of which any text will do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from external.act_evaluation.structures import FrameBoxes, Tubes
from external.files import read_table
from external.matching import group_starts
from external.names import Names

BOX = ("x1", "y1", "x2", "y2")
MOST_FRAMES = 10**8


def read_tubes(path: str | Path, names: Names, scored: bool) -> Tubes:
    """Read tubes, ordered by video and by their first row; `scored`: the column `score` is needed.

    Raises:
        ValueError: Naming file and line for a missing column, an empty video or label, a value that
            is no number, a frame below 1, a box without area, and a tube with a gap, two labels or
            two scores.
    """
    columns = ("video", "frame", *BOX, "label", "tube", *(("score",) if scored else ()))
    rows = list(_rows(path, columns))
    tube_of = {row[:2]: i for i, row in reversed([*enumerate(rows)])}  # the row where it begins
    rows.sort(key=lambda row: (names.video(row.video), tube_of[row[:2]], row.frame))
    bounds = group_starts(np.array([tube_of[row[:2]] for row in rows], np.int64))
    for first, last in pairwise(bounds.tolist()):
        _check_tube(rows[first:last])
    heads = [rows[i] for i in bounds[:-1]]
    return Tubes(
        np.array([names.video(head.video) for head in heads], np.int64),
        np.array([names.label(head.label, head.where) for head in heads], np.int64),
        np.array([head.score for head in heads], float),
        np.array([head.frame for head in heads], np.int64),
        bounds,
        np.array([row.box for row in rows], float).reshape(-1, 4),
    )


def _check_tube(rows: Sequence[_Row]) -> None:
    """Raise `ValueError` unless `rows`, sorted by frame, are one tube."""
    for before, after in pairwise(rows):
        if after.frame != before.frame + 1:
            found = "twice" if after.frame == before.frame else f"after frame {before.frame}"
            raise ValueError(
                f"{after.where}: tube {after.tube!r}: frame {after.frame} stands {found}"
            )
        if (after.label, after.score) != (before.label, before.score):
            raise ValueError(f"{after.where}: tube {after.tube!r} has two labels or two scores")


def read_frame_boxes(path: str | Path, names: Names) -> FrameBoxes:
    """Read boxes on frames with scores, in the order of the file; see `read_tubes` for errors."""
    rows = list(_rows(path, ("video", "frame", *BOX, "label", "score")))
    return FrameBoxes(
        np.array([names.video(row.video) for row in rows], np.int64),
        np.array([row.frame for row in rows], np.int64),
        np.array([names.label(row.label, row.where) for row in rows], np.int64),
        np.array([row.score for row in rows], float),
        np.array([row.box for row in rows], float).reshape(-1, 4),
    )


class _Row(NamedTuple):
    """A line of a file.

    Attributes:
        where: The file and the line.
        tube: Empty in files without that column.
    """

    video: str
    tube: str
    label: str
    frame: int
    box: list[float]
    score: float
    where: str


def _rows(path: str | Path, columns: Sequence[str]) -> Iterator[_Row]:
    """Yield every line, checked; `columns` are those that the file must have."""
    has_score, has_tube = "score" in columns, "tube" in columns
    for where, row in read_table(path, columns):
        frame, *box = read_box(row, where)
        yield _Row(
            video=read_name(row, "video", where),
            tube=row["tube"].strip() if has_tube else "",
            label=read_name(row, "label", where),
            frame=int(frame),
            box=box,
            score=_number(row["score"], "score", where) if has_score else 1.0,
            where=where,
        )


def read_box(row: Mapping[str, str], where: str) -> list[float]:
    """Return frame, x1, y1, x2, y2 of a line; raises `ValueError` naming `where`."""
    frame, *box = read_numbers(row, ("frame", *BOX), where)
    if box[2] < box[0] or box[3] < box[1]:
        raise ValueError(f"{where}: box ends before it begins: {box}")
    if not (frame.is_integer() and 1 <= frame <= MOST_FRAMES):
        raise ValueError(f"{where}: frame must be a whole number from 1 on, got {frame:g}")
    return [frame, *box]


def read_name(row: Mapping[str, str], name: str, where: str) -> str:
    """Return the column `name` without blanks at its ends.

    Raises:
        ValueError: Naming `where`, if nothing is left or a null character is in it.
    """
    found = row[name].strip()
    if not found or "\0" in found:
        raise ValueError(f"{where}: {name}: expected a name, got {row[name]!r}")
    return found


def read_numbers(row: Mapping[str, str], names: Sequence[str], where: str) -> list[float]:
    """Return the columns `names` as finite numbers; raises `ValueError` naming `where` and one."""
    try:  # all at once is five times as fast
        values = [float(row[name]) for name in names]
    except ValueError:
        values = [math.nan]
    if all(map(math.isfinite, values)):
        return values
    return [_number(row[name], name, where) for name in names]


def _number(text: str, name: str, where: str) -> float:
    """`text` as a finite number; raises `ValueError` naming `where` and the column."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: {name} is not a finite number: {text!r}")
    return value
