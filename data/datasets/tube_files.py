"""Reading annotation of tubes from any kind of file, found out by its ending and content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.datasets.act_cache import ActCache, read_act_cache
from data.datasets.numpy_pickles import read_numpy_pickle
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.tube_csv import read_tube_csv, read_video_facts, videos_path
from data.datasets.ucf101_24 import read_final_annots, read_pyannot
from utils.formats.ava_csv import check_video_name

SUFFIXES = (".pkl", ".mat", ".csv")


def read_tube_file(
    path: Path,
    classes: Sequence[str] | None = None,
    videos: Path | None = None,
    source: str = "the label map",
) -> tuple[TubeAnnotations, ActCache | None]:
    """Read `pyannot.pkl`, `finalAnnots.mat`, ACT's cache, or a CSV file of tubes.

    Args:
        classes, videos: For a CSV file: names in the order of their indices, and the file that
            tells frames and sizes; by default the one beside it (`data/datasets/tube_csv.py`).
        source: Where `classes` are from, for messages.

    Returns:
        The tubes, and the cache with its splits if it is one.

    Raises:
        ValueError: Naming the file and what is wrong with it, also the id of a video that would
            lead out of the folders of frames and flow.
    """
    check_tube_suffix(path)
    annotations, cache = _read(path, classes, videos, source)
    for video in annotations.videos:
        check_video_name(video, str(path))
    return annotations, cache


def _read(
    path: Path, classes: Sequence[str] | None, videos: Path | None, source: str
) -> tuple[TubeAnnotations, ActCache | None]:
    if path.suffix.lower() == ".mat":
        return read_final_annots(path), None
    if path.suffix.lower() == ".csv":
        beside = videos or videos_path(path)
        known = read_video_facts(beside) if videos or beside.exists() else None
        return read_tube_csv(path, classes, known, source), None
    content = read_numpy_pickle(path)
    if isinstance(content, dict) and "gttubes" in content:
        cache = read_act_cache(path)
        return cache.annotations, cache
    return read_pyannot(path), None


def check_tube_suffix(path: Path) -> None:
    """Raise `ValueError` naming `path` if it does not end as files of tubes do."""
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
