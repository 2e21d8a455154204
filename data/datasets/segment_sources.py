"""Any annotation of segments by its path: a dataset's folder, ActivityNet's JSON, a CSV table."""

from __future__ import annotations

from pathlib import Path

from data.datasets.activitynet import read_activitynet
from data.datasets.segment_annotations import SegmentAnnotations
from data.datasets.segment_durations import find_durations
from data.datasets.segment_table import (
    read_segment_table,
    table_classes,
    videos_without_duration,
)
from data.datasets.thumos14 import is_thumos14, read_thumos14
from utils.config.common import ROOT

# What each dataset calls the videos to train and to test with.
_THUMOS = {"train": "validation", "test": "test"}
_ACTIVITYNET = {"train": "training", "test": "validation"}

TABLE, JSON = "segments_{}.csv", "segments.json"
"""Names of annotation in the folder of a dataset of one's own."""


def open_annotations(path: Path, split: str, frames: Path | None = None) -> SegmentAnnotations:
    """Read a split, `train` or `test`, of an annotation.

    `.json` is ActivityNet's; `.csv` is a table. A folder is THUMOS14's, or that of a dataset of
    one's own, which holds `segments_train.csv` and `segments_test.csv`, or `segments.json`. A table
    has one split, so that both names give all of it, and `segments_test.csv` the classes of
    `segments_train.csv` beside it. Of a table without durations, videos that have neither frames
    nor a file are left out and counted.

    Args:
        frames: Folder of frames or videos, for the durations of a table without them; those called
            `frames` and `videos` beside the table are looked at, too.

    Raises:
        ValueError: Naming the path for anything else, and what the readers raise.
    """
    if split not in _THUMOS:
        raise ValueError(f"split: expected train or test, got {split!r}")
    if path.is_dir():
        if is_thumos14(path):
            return read_thumos14(path, _THUMOS[split])
        path = _own_annotation(path, split)
    if path.suffix.lower() == ".json":
        return read_activitynet(path, _ACTIVITYNET[split])
    if path.suffix.lower() == ".csv":
        return _read_table(path, frames)
    raise ValueError(f"{path}: expected a dataset's folder, ActivityNet's .json, or a .csv table")


def dataset_folder(name: str) -> Path:
    """Return datasets/<name> in the current folder if it is there, else in the repository."""
    here = Path("datasets") / name
    return here if here.is_dir() else ROOT / "datasets" / name


def own_dataset(name: str) -> Path | None:
    """Return a dataset's folder if it holds annotation of one's own; None: it does not."""
    folder = dataset_folder(name)
    names = (*(TABLE.format(split) for split in _THUMOS), JSON)
    found = not is_thumos14(folder) and any((folder / name).exists() for name in names)
    return folder if found else None


def _own_annotation(folder: Path, split: str) -> Path:
    """Return the annotation of a dataset of one's own; raises `ValueError` if there is none."""
    names = (TABLE.format(split), JSON)
    for path in (folder / name for name in names):
        if path.exists():
            return path
    raise ValueError(
        f"{folder}: holds no annotation: expected {' or '.join(names)}, or THUMOS14's "
        f"temporal_annotations_{_THUMOS[split]}"
    )


def _read_table(path: Path, frames: Path | None) -> SegmentAnnotations:
    """A table with the durations that it lacks, and the classes that its training has."""
    train, classes = path.with_name(TABLE.format("train")), None
    if path.name == TABLE.format("test") and train.exists():
        classes = table_classes(train)
    if not (videos := videos_without_duration(path)):
        return read_segment_table(path, classes)
    given = [] if frames is None else [frames]
    folders = list(dict.fromkeys([*given, path.parent / "frames", path.parent / "videos"]))
    durations = find_durations(videos, folders)
    if not durations:
        raise ValueError(
            f"{path}: its {len(videos)} videos have no duration, such as {videos[0]}: expected a "
            "column duration, or their frames with extraction.json, or their files, in "
            f"{' or '.join(map(str, folders))}"
        )
    # Classes are those of all videos: labels must not depend on which are missing.
    return read_segment_table(path, classes or table_classes(path), durations, skip_unknown=True)
