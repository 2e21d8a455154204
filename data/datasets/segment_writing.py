"""Segments written as a table or in ActivityNet's layout, which every command of SSN reads."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence

Row = tuple[str, float, float, str]
"""Video, start and end [s], class."""


def segment_table(rows: Iterable[Row], durations: Mapping[str, float]) -> str:
    """Return CSV `video,start,end,label,duration`;

    Args:
        durations: Of the videos [s].
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["video", "start", "end", "label", "duration"])
    for video, start, end, label in rows:
        writer.writerow([video, f"{start:.3f}", f"{end:.3f}", label, f"{durations[video]:.6g}"])
    return text.getvalue()


def activitynet_json(
    rows: Iterable[Row],
    durations: Mapping[str, float],
    subsets: Mapping[str, str],
    classes: Sequence[str] = (),
) -> str:
    """Return ActivityNet's layout.

    Args:
        durations: Of all videos [s], whether they have segments or not.
        subsets: Training, validation or testing, by video.
        classes: All names; empty: those of the rows. Each is a leaf.
    """
    found: dict[str, list[dict[str, object]]] = {video: [] for video in durations}
    known = dict.fromkeys(classes)
    for video, start, end, label in rows:
        known.setdefault(label)
        found[video].append({"segment": [round(start, 3), round(end, 3)], "label": label})
    root = {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None}
    leaves = [
        {"nodeId": i, "nodeName": name, "parentId": 0, "parentName": "Root"}
        for i, name in enumerate(sorted(known), 1)
    ]
    database = {
        video: {
            "subset": subsets[video],
            "duration": durations[video],
            "url": "",
            "annotations": annotations,
        }
        for video, annotations in found.items()
    }
    content = {"version": "1.0", "taxonomy": [root, *leaves], "database": database}
    return json.dumps(content, indent=1) + "\n"
