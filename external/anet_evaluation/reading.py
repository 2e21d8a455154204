"""Annotations and results of temporal detection: ActivityNet's JSON, or CSV.

CSV has a header: `video,start,end,label` for ground truth, with `score` for results, in seconds.
Folders and the ending of a video file are no part of a video's name.
ActivityNet's annotation has `database`, its results `results`, both by video id.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from external.anet_evaluation.segments import Segments
from external.files import read_json, read_table
from external.names import Names, video_name


class Row(NamedTuple):
    """A segment as it is read.

    Attributes:
        start, end: Seconds.
        where: The file and the place in it.
    """

    video: str
    start: float
    end: float
    label: str
    score: float
    where: str


def read_segments(
    path: str | Path, names: Names, scored: bool, subsets: Collection[str] = ()
) -> tuple[Segments, int]:
    """Read a file by its ending, `.json` or anything else for CSV.

    Args:
        scored: Results, which need scores.
        subsets: Of an annotation in JSON; empty: all.

    Returns:
        The segments, and how many were left out because they end where they begin or before.

    Raises:
        ValueError: Naming the file and the place for anything that does not fit.
    """
    json_file = Path(path).suffix.lower() == ".json"
    rows = list(_from_json(path, scored, subsets) if json_file else _from_csv(path, scored))
    good = [row for row in rows if row.end > row.start]
    for row in rows:
        names.video(video_name(row.video))
    segments = Segments(
        np.array([names.videos[video_name(row.video)] for row in good], np.int64),
        np.array([names.label(row.label, row.where) for row in good], np.int64),
        np.array([row.start for row in good], float),
        np.array([row.end for row in good], float),
        np.array([row.score for row in good], float),
    )
    return segments, len(rows) - len(good)


def _from_csv(path: str | Path, scored: bool) -> Iterator[Row]:
    columns = ["video", "start", "end", "label", *(["score"] if scored else [])]
    for where, row in read_table(path, columns, synonyms={"class": "label"}):
        start, end = (_number(row[name], name, where) for name in ("start", "end"))
        score = _number(row["score"], "score", where) if scored else 1.0
        yield Row(row["video"], start, end, row["label"], score, where)


def _from_json(path: str | Path, scored: bool, subsets: Collection[str]) -> Iterator[Row]:
    key = "results" if scored else "database"
    content = read_json(path)
    videos = content.get(key) if isinstance(content, dict) else None
    if not isinstance(videos, dict):
        raise ValueError(f"{path}: expected an object with {key!r}, an object of videos")
    known = {v.get("subset") for v in videos.values() if isinstance(v, dict)}
    if unknown := sorted(set(subsets) - known):
        raise ValueError(f"{path}: no video is of the subset {', '.join(unknown)}")
    for video, entry in videos.items():
        where = f"{path}, {key}.{video}"
        if not scored:
            if not isinstance(entry, dict):
                raise ValueError(f"{where}: expected an object, got {type(entry).__name__}")
            if subsets and entry.get("subset") not in subsets:
                continue
            entry = entry.get("annotations", [])
        if not isinstance(entry, list):
            raise ValueError(f"{where}: expected a list of segments, got {type(entry).__name__}")
        for place, item in enumerate(entry):
            yield _json_row(video, item, scored, f"{where}[{place}]")


def _json_row(video: str, item: Any, scored: bool, where: str) -> Row:
    segment = item.get("segment") if isinstance(item, dict) else None
    if not isinstance(segment, list) or len(segment) != 2:
        raise ValueError(f"{where}: expected an object with 'segment': [start, end]")
    if not isinstance(item.get("label"), str):
        raise ValueError(f"{where}: expected a 'label', got {item.get('label')!r}")
    start, end = (_number(value, "segment", where) for value in segment)
    score = _number(item.get("score"), "score", where) if scored else 1.0
    return Row(video, start, end, item["label"], score, where)


def _number(value: Any, name: str, where: str) -> float:
    """`value` as a finite number; raises `ValueError` naming `where` and the column."""
    try:
        number = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{where}: {name} is not a finite number: {value!r}")
    return number
