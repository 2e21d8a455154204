"""Detections of segments as files: ActivityNet's JSON, and a table; times in seconds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from utils.evaluation.segments import VideoDetections


class FoundSegment(NamedTuple):
    """A detection.

    Attributes:
        start, end: Seconds.
        label: The class's name.
    """

    video: str
    start: float
    end: float
    label: str
    score: float


def segments_in_seconds(
    video: str, found: VideoDetections, duration: float, names: Sequence[str], first: float = 0.0
) -> Iterator[FoundSegment]:
    """Yield the detections of a video that lasts `duration` seconds, the best first.

    Args:
        names: Of the classes, by label from 0.
        first: Time of its first frame [s].
    """
    for row in (-found.scores).argsort(kind="stable"):
        start, end = (first + duration * found.spans[row]).tolist()
        yield FoundSegment(video, start, end, names[found.labels[row]], float(found.scores[row]))


def as_json(segments: Iterable[FoundSegment], videos: Iterable[str] = ()) -> str:
    """Return detections in the layout of ActivityNet's results.

    Args:
        videos: That were looked at; one without detections has an empty list.
    """
    results: dict[str, list[Mapping[str, object]]] = {video: [] for video in videos}
    for video, start, end, label, score in segments:
        entry = {"label": label, "score": score, "segment": [start, end]}
        results.setdefault(video, []).append(entry)
    content = {"version": "VERSION 1.2", "results": results, "external_data": {}}
    return json.dumps(content, allow_nan=False) + "\n"


def as_csv(segments: Iterable[FoundSegment]) -> str:
    """Return detections as rows `video,start,end,class,score` under a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "start", "end", "class", "score"])
    writer.writerows((v, f"{s:.3f}", f"{e:.3f}", c, f"{p:.6g}") for v, s, e, c, p in segments)
    return text.getvalue()
