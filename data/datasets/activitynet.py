"""ActivityNet 1.2 and 1.3: the annotation's JSON, whose classes are the leaves of its taxonomy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from data.datasets.segment_annotations import Segment, SegmentAnnotations, check_seconds
from utils.formats.reading import read_json

YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
"""ActivityNet's videos have ids of YouTube for names; those of one's own have any."""

SUBSETS = ("training", "validation", "testing")


def read_activitynet(path: str | Path, subset: str) -> SegmentAnnotations:
    """Read the videos of a subset, `training`, `validation` or `testing`, sorted by id.

    The videos are known by ids of YouTube if all names in the file have the form of one.
    Left out are segments that end where they begin, or before, and those that start after their
    video ends.

    Raises:
        ValueError: Naming the file and the place in it for what cannot be read, and for a label
            that is no leaf of the taxonomy.
    """
    if subset not in SUBSETS:
        raise ValueError(f"subset: expected {', '.join(SUBSETS)}, got {subset!r}")
    content = read_json(path, "annotation of ActivityNet")
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise ValueError(f"{path}: expected an object with 'database', an object of videos")
    classes = read_taxonomy(content.get("taxonomy"), path)
    numbers = {name: i for i, name in enumerate(classes)}
    durations: dict[str, float] = {}
    segments: dict[str, list[Segment]] = {}
    dropped = {"that end where they begin": 0, "after the video's end": 0}
    for video, entry in sorted(content["database"].items()):
        where = f"{path}, database.{video}"
        if not isinstance(entry, dict) or entry.get("subset") not in SUBSETS:
            raise ValueError(f"{where}: expected an object whose 'subset' is one of {SUBSETS}")
        if entry["subset"] != subset:
            continue
        durations[video] = check_seconds(entry.get("duration"), f"{where}.duration")
        for start, end, label in _annotations(entry, numbers, where):
            if end <= start:
                dropped["that end where they begin"] += 1
            elif start > durations[video]:
                dropped["after the video's end"] += 1
            else:
                segments.setdefault(video, []).append(Segment(start, end, label))
    if not durations:
        raise ValueError(f"{path}: no video is of the subset {subset}")
    youtube = all(map(YOUTUBE_ID.fullmatch, content["database"]))
    return SegmentAnnotations(classes, durations, segments, dropped, youtube)


def read_taxonomy(nodes: Any, path: str | Path) -> list[str]:
    """Return the names of the nodes that are nobody's parent, sorted."""
    if not isinstance(nodes, list) or not nodes:
        raise ValueError(f"{path}: expected 'taxonomy', a list of nodes")
    names, parents = set(), set()
    for place, node in enumerate(nodes):
        name = node.get("nodeName") if isinstance(node, dict) else None
        if not isinstance(name, str):
            raise ValueError(f"{path}, taxonomy[{place}]: expected an object with 'nodeName'")
        names.add(name)
        parents.add(node.get("parentName"))
    return sorted(names - parents)


def _annotations(
    entry: dict[str, Any], numbers: dict[str, int], where: str
) -> list[tuple[float, float, int]]:
    """Start, end [s] and label of a video's segments, in their order."""
    items = entry.get("annotations", [])
    if not isinstance(items, list):
        raise ValueError(f"{where}.annotations: expected a list of segments")
    found = []
    for place, item in enumerate(items):
        here = f"{where}.annotations[{place}]"
        segment = item.get("segment") if isinstance(item, dict) else None
        if not isinstance(segment, list) or len(segment) != 2:
            raise ValueError(f"{here}: expected an object with 'segment': [start, end]")
        label = item.get("label")
        if not isinstance(label, str) or label not in numbers:
            raise ValueError(f"{here}: label {label!r} is no leaf of the taxonomy")
        start, end = (check_seconds(value, here) for value in segment)
        found.append((start, end, numbers[label]))
    return found
