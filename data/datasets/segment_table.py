"""Segments as a table of one's own: CSV `video,start,end,label`, times in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data.datasets.segment_annotations import Segment, SegmentAnnotations, parse_seconds
from external.names import video_name
from utils.formats.reading import read_table

COLUMNS = ("video", "start", "end", "label")


def read_segment_table(
    path: str | Path,
    classes: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    skip_unknown: bool = False,
) -> SegmentAnnotations:
    """Read segments with a header; columns in any order, further ones are not looked at.

    Args:
        classes: Names by label; None: those of the table, sorted.
        durations: Of the videos [s], for a table without a column `duration`; None: it has one.
        skip_unknown: Leave out, and count, segments of videos that `durations` do not have.

    Raises:
        ValueError: Naming file and line for what cannot be read, a class that is not known, a
            segment that does not end after its start or starts after its video, and a video whose
            duration is not known or is given twice.
    """
    wanted = [*COLUMNS, *(["duration"] if durations is None else [])]
    rows: list[tuple[str, str, float, float, str]] = []
    lengths = dict(durations or {})
    skipped = 0
    for where, row in read_table(path, wanted, "table of segments"):
        video, label = video_name(row["video"].strip()), row["label"].strip()
        start, end = (parse_seconds(row[name], f"{where}: {name}") for name in ("start", "end"))
        if durations is None:
            length = parse_seconds(row["duration"], f"{where}: duration")
            if lengths.setdefault(video, length) != length:
                raise ValueError(f"{where}: video {video} has two durations")
        if skip_unknown and video not in lengths:
            skipped += 1
            continue
        _check(where, video, start, end, lengths)
        rows.append((where, video, start, end, label))
    dropped = {"of videos without frames or file": skipped}
    return replace(_collected(path, rows, classes, lengths), dropped=dropped)


def videos_without_duration(path: str | Path) -> list[str]:
    """Return the videos of a table that has no column `duration`; of one that has it, none."""
    rows = (row for _, row in read_table(path, COLUMNS, "table of segments"))
    names = (video_name(row["video"].strip()) for row in rows if "duration" not in row)
    return list(dict.fromkeys(names))


def table_classes(path: str | Path) -> list[str]:
    """Return the classes of a table, sorted."""
    rows = read_table(path, COLUMNS, "table of segments")
    return sorted({row["label"].strip() for _, row in rows})


def _check(
    where: str, video: str, start: float, end: float, durations: Mapping[str, float]
) -> None:
    """Raise `ValueError` unless the segment lies in a video that is known."""
    if not video:
        raise ValueError(f"{where}: expected a video's name, got an empty cell")
    if end <= start:
        raise ValueError(f"{where}: expected an end after the start, got {start:g} to {end:g}")
    if video not in durations:
        raise ValueError(
            f"{where}: video {video} has no duration: expected it in a column duration"
        )
    if start >= durations[video]:
        raise ValueError(
            f"{where}: starts at {start:g} s, video {video} lasts {durations[video]:g} s"
        )


def _collected(
    path: str | Path,
    rows: Sequence[tuple[str, str, float, float, str]],
    classes: Sequence[str] | None,
    durations: dict[str, float],
) -> SegmentAnnotations:
    """The rows by video, with labels as numbers."""
    if not rows:
        raise ValueError(f"{path}: holds no segment")
    names = sorted({row[4] for row in rows}) if classes is None else list(classes)
    numbers = {name: i for i, name in enumerate(names)}
    segments: dict[str, list[Segment]] = {}
    for where, video, start, end, label in rows:
        if label not in numbers:
            raise ValueError(f"{where}: unknown label {label!r}, expected {', '.join(names[:5])}")
        segments.setdefault(video, []).append(Segment(start, end, numbers[label]))
    return SegmentAnnotations(names, durations, dict(sorted(segments.items())))
