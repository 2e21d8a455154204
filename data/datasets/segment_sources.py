"""Any annotation of segments by its path: THUMOS14's folder, ActivityNet's JSON, a CSV table."""

from __future__ import annotations

from pathlib import Path

from data.datasets.activitynet import read_activitynet
from data.datasets.segment_annotations import SegmentAnnotations
from data.datasets.segment_table import read_segment_table
from data.datasets.thumos14 import read_thumos14

# What each dataset calls the videos to train and to test with.
_THUMOS = {"train": "validation", "test": "test"}
_ACTIVITYNET = {"train": "training", "test": "validation"}


def open_annotations(path: Path, split: str) -> SegmentAnnotations:
    """Read a split, `train` or `test`, of an annotation.

    A folder is THUMOS14's; `.json` is ActivityNet's; `.csv` is a table with a column `duration`,
    which has one split, so that both names give all of it.

    Raises:
        ValueError: Naming the path for anything else, and what the readers raise.
    """
    if split not in _THUMOS:
        raise ValueError(f"split: expected train or test, got {split!r}")
    if path.is_dir():
        return read_thumos14(path, _THUMOS[split])
    if path.suffix.lower() == ".json":
        return read_activitynet(path, _ACTIVITYNET[split])
    if path.suffix.lower() == ".csv":
        return read_segment_table(path)
    raise ValueError(f"{path}: expected THUMOS14's folder, ActivityNet's .json, or a .csv table")


def is_youtube(path: Path) -> bool:
    """Whether the videos of an annotation are known by the last 11 characters of their names."""
    return path.suffix.lower() == ".json"
