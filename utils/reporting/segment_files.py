"""Detected segments of a video as a document, in the layout of persons' results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.reporting.person_files import document_head
from utils.reporting.segment_timeline import Timeline


def segment_document(
    video: str,
    size: tuple[int, int],
    fps: float,
    timeline: Timeline,
    classes: Mapping[int, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the results as those of persons are (`utils.formats.person_results`), without persons.

    `segments` has a row for each detection, by start: class, score and times. `results` has the
    same in ActivityNet's layout, which `external.anet_evaluation` and ActivityNet's tools read.

    Args:
        size: Height and width [pixels].
        fps: Frames a second.
        classes: Id to name, each name once.
    """
    ids = {name: number for number, name in classes.items()}
    rows = [
        {
            "id": ids[found.label],
            "name": found.label,
            "score": round(found.score, 6),
            "start": round(found.start, 6),
            "end": round(found.end, 6),
        }
        for found in sorted(timeline.segments, key=lambda one: (one.start, -one.score))
    ]
    submission = [
        {"label": row["name"], "score": row["score"], "segment": [row["start"], row["end"]]}
        for row in rows
    ]
    return {
        **document_head(video, False, size, fps, settings),
        "cuts": [],
        "persons": [],
        "segments": rows,
        "key_frames": [],
        "results": {video: submission},
        "external_data": {},
    }
