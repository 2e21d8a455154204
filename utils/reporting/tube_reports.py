"""Tubes of one video for people: drawn frame by frame, in words, and as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from external.act_evaluation import Tubes
from utils.reporting.person_files import box_fractions, document_head
from utils.reporting.persons import Person


def persons_by_frame(tubes: Tubes, frames: int) -> list[list[Person]]:
    """Return the tubes that each frame, from the first, shows: boxes, best score first."""
    shown: list[list[Person]] = [[] for _ in range(frames)]
    for tube in np.argsort(-tubes.score, kind="stable").tolist():
        label = (int(tubes.label[tube]), float(tubes.score[tube]))
        boxes = tubes.boxes[tubes.ends[tube] : tubes.ends[tube + 1]].tolist()
        for frame, (x1, y1, x2, y2) in enumerate(boxes, int(tubes.start[tube]) - 1):
            shown[frame].append(Person((x1, y1, x2, y2), [label]))
    return shown


def describe_tubes(tubes: Tubes, classes: Sequence[str]) -> str:
    """Return in words how many tubes of which classes were found."""
    if not len(tubes):
        return "no tubes"
    counts = Counter(classes[label] for label in tubes.label.tolist())
    named = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"{len(tubes)} tube{'s' if len(tubes) > 1 else ''}: {named}"


def tube_document(
    video: str,
    size: tuple[int, int],
    times: Sequence[float],
    fps: float,
    first: int,
    tubes: Tubes,
    classes: Mapping[int, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the results as those of persons are (`utils.formats.person_results`), without persons.

    `segments` has a row for each tube, by start: its number, the number and time of its first
    and last frame, class and score. `key_frames` has each frame with a tube, and the boxes there.

    Args:
        size: Height and width [pixels].
        times: Of the frames that were looked at [s].
        fps: Frames a second.
        first: Number of the first of them in the video, from 0.
    """
    return {
        **document_head(video, False, size, fps, {"frames": len(times), **settings}),
        "cuts": [],
        "persons": [],
        "segments": _segments(tubes, times, fps, first, list(classes.items())),
        "key_frames": _key_frames(tubes, times, first, size),
    }


def _segments(
    tubes: Tubes, times: Sequence[float], fps: float, first: int, items: list[tuple[int, str]]
) -> list[dict[str, Any]]:
    """A row for each tube, numbered as in the CSV file; a tube ends when the next frame begins."""
    ends = [*times[1:], times[-1] + 1 / fps]
    columns = (tubes.label, tubes.score, tubes.start, tubes.last)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    segments = [
        {
            "tube": number,
            "id": items[label][0],
            "name": items[label][1],
            "score": round(score, 6),
            "start": round(times[begin - 1], 6),
            "end": round(ends[last - 1], 6),
            "first_frame": first + begin - 1,
            "last_frame": first + last - 1,
        }
        for number, (label, score, begin, last) in enumerate(rows)
    ]
    return sorted(segments, key=lambda one: (one["start"], one["tube"]))


def _key_frames(
    tubes: Tubes, times: Sequence[float], first: int, size: tuple[int, int]
) -> list[dict[str, Any]]:
    """The frames that have a tube, with the boxes of all tubes there."""
    seen: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for tube in range(len(tubes)):
        boxes = tubes.boxes[tubes.ends[tube] : tubes.ends[tube + 1]].tolist()
        for place, box in enumerate(boxes, int(tubes.start[tube]) - 1):
            fractions = [round(value, 6) for value in box_fractions(box, *size)]
            pixels = [round(value, 2) for value in box]
            seen[place].append({"tube": tube, "box": pixels, "box_fraction": fractions})
    return [
        {"frame": first + place, "time": round(times[place], 6), "persons": [], "tubes": found}
        for place, found in sorted(seen.items())
    ]
