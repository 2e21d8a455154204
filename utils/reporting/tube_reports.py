"""Tubes of one video for people: drawn frame by frame, in words, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from external.act_evaluation import Tubes
from utils.formats.ava_csv import as_text
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


def write_tube_json(
    path: Path,
    video: str,
    size: tuple[int, int],
    times: Sequence[float],
    tubes: Tubes,
    classes: Mapping[int, str],
    settings: Mapping[str, Any],
) -> None:
    """Write the video's size, `settings`, and when each tube is: frames from 1, and seconds.

    Args:
        size: Height and width [pixels].
        times: Of the frames [s]. The boxes are in the CSV file.
    """
    items = list(classes.items())
    rows = zip(
        *(a.tolist() for a in (tubes.label, tubes.score, tubes.start, tubes.last)), strict=True
    )
    document = {
        "video": as_text(video),
        "height": size[0],
        "width": size[1],
        "frames": len(times),
        **settings,
        "tubes": [
            {
                "id": items[label][0],
                "name": items[label][1],
                "score": round(score, 6),
                "first_frame": first,
                "last_frame": last,
                "first_time": round(times[first - 1], 6),
                "last_time": round(times[last - 1], 6),
            }
            for label, score, first, last in rows
        ],
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
