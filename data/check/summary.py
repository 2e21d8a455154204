"""What a dataset consists of, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from data.check.dataset import CheckedDataset, CheckedSplit
from data.check.frames import TESTED, VideoFrames, frame_counts
from data.check.images import Size


def format_summary(checked: CheckedDataset, sizes: dict[Size, int]) -> str:
    """Counts of the splits side by side, the frames, then the examples of every class."""
    train, val = checked.splits
    columns = [_describe(split, checked.videos) for split in checked.splits]
    rows = [["", train.name, val.name]]
    rows += [[name, columns[0][name], columns[1][name]] for name in columns[0]]
    lines = [f"dataset {checked.root}", "", *_table(rows), ""]
    lines += [f"{name}: {text}" for name, text in _describe_frames(checked, sizes).items()]
    return "\n".join([*lines, "", *_table(_class_rows(checked))])


def _describe(split: CheckedSplit, videos: dict[str, VideoFrames]) -> dict[str, str]:
    labels = split.labels
    rows, persons = len(labels.rows), len(labels.persons)
    broken = f" ({rows:,} whole)" if rows != labels.count else ""
    there, possible = split.neighbors
    complete = sum(
        key.video in videos and bool(videos[key.video].names.get(key.timestamp))
        for key in split.keys
    )
    return {
        "annotation": labels.path.name,
        "videos": f"{len(labels.videos):,}",
        "images annotated": f"{len(labels.annotated):,}",
        "of them excluded": f"{split.excluded:,}",
        "key frames": f"{len(split.keys):,}",
        "with frames": f"{complete:,}",
        "persons": f"{persons:,}",
        "rows": f"{labels.count:,}{broken}",
        "labels left out": f"{split.dropped:,}",
        "neighbour targets": f"{there:,} of {possible:,}" if possible else "none needed",
        "tested, not annotated": f"{sum(where is TESTED for where in split.keys.values()):,}",
    }


def _describe_frames(checked: CheckedDataset, sizes: dict[Size, int]) -> dict[str, str]:
    counts = frame_counts(checked.videos)
    records = [video.record for video in checked.videos.values() if video.record is not None]
    decoders = Counter(record.decoder for record in records)
    others = len(checked.videos) - len(records)
    made = [f"{decoder} ({count:,} videos)" for decoder, count in decoders.items()]
    made += [f"another tool ({others:,} videos)"] if others else []
    return {
        "frames": f"{len(checked.videos):,} videos with {sum(counts.values()):,} seconds needed, "
        f"{checked.unused:,} videos not needed",
        "windows past a video's end": f"{sum(v.repeating for v in checked.videos.values()):,}",
        "frames of a second": _most_common(counts),
        "images read": _most_common(Counter({f"{w} x {h}": n for (h, w), n in sizes.items()})),
        "extracted by": ", ".join(made) or "-",
    }


def _most_common(counts: Counter) -> str:
    listed = [f"{value} ({n:,})" for value, n in counts.most_common(3)]
    return ", ".join(listed) + (", ..." if len(counts) > 3 else "") or "-"


def _class_rows(checked: CheckedDataset) -> list[list[str]]:
    counts = [split.labels.class_counts for split in checked.splits]
    rows = [["persons of each class", *(split.name for split in checked.splits)]]
    for number, name in checked.classes.items():
        rows.append([f"{number} {name}", *(f"{count[number]:,}" for count in counts)])
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with the first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        right = [cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]))
    return lines
