"""ACT's cache, `<dataset>-GT.pkl`: annotation and splits of UCF101-24, JHMDB and UCF-Sports.

A pickle of one dict: `labels` (names), `train_videos` and `test_videos` (one list of ids per
split), `nframes` (id to number of frames), `resolution` (id to height and width) and `gttubes` (id
to class index to arrays `[n, 5]` of frame, x1, y1, x2, y2). Frames are counted from 1, coordinates
from 0. The published files come from Python 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from data.datasets.numpy_pickles import dump_numpy_pickle, read_numpy_pickle
from data.datasets.tube_annotations import TubeAnnotations
from data.datasets.ucf101_24 import CLASSES as UCF101_24
from utils.formats.schema import Name, Positive, check_shape, shown
from utils.formats.tubes import make_tubes
from utils.system.outputs import write_whole

JHMDB = [
    "brush_hair", "catch", "clap", "climb_stairs", "golf", "jump", "kick_ball", "pick", "pour",
    "pullup", "push", "run", "shoot_ball", "shoot_bow", "shoot_gun", "sit", "stand",
    "swing_baseball", "throw", "walk", "wave",
]  # fmt: skip

DATASETS = {"ucf101_24": UCF101_24, "jhmdb": JHMDB}
"""Class names in the order of their indices. Those of UCF-Sports are taken from its cache."""

CLASS_COUNTS = {"ucfsports": 10}
"""Of datasets whose names are taken from their cache."""

EXPECTED = "ACT's cache (*-GT.pkl)"

# Largest frame number that a tube may have.
MOST_FRAMES = 10**8


@dataclass(frozen=True)
class ActCache:
    """Annotation with its splits.

    Attributes:
        train, test: For each split the ids of its videos. Split 1 is entry 0. The two lists are
            equally long.
    """

    annotations: TubeAnnotations
    train: list[list[str]]
    test: list[list[str]]

    def split(self, part: str, number: int = 1, source: str = "the cache") -> TubeAnnotations:
        """Return the videos of `train` or `test` of split `number`, counted from 1.

        Args:
            source: Where the cache is from, for messages.

        Raises:
            ValueError: Saying how many splits there are.
        """
        lists = {"train": self.train, "test": self.test}[part]
        if not 1 <= number <= len(lists):
            raise ValueError(f"{source}: split: expected 1 to {len(lists)}, got {number}")
        return self.annotations.subset(lists[number - 1], f"the {part} list of split {number}")

    def in_both(self, number: int = 1) -> list[str]:
        """Return the training videos of split `number`, from 1, that are test videos, too."""
        return sorted({*self.train[number - 1]} & {*self.test[number - 1]})


class _Content(TypedDict):
    """What the pickle holds; tubes are checked video by video."""

    labels: list[Name]
    train_videos: list[list[Name]]
    test_videos: list[list[Name]]
    nframes: dict[Name, Positive]
    resolution: dict[Name, tuple[Positive, Positive]]
    gttubes: dict[Name, dict[int, list[Any]]]


def read_act_cache(path: str | Path, classes: Sequence[str] | None = None) -> ActCache:
    """Read a cache. Nothing in it is executed: it may hold numbers, text and arrays of these.

    Args:
        classes: The names that it must have, in this order; `None`: any.

    Raises:
        ValueError: Naming the file, and the video where one is at fault: a tube with a gap, a class
            out of range, a video without size or number of frames, a list with an unknown id, a
            label that stands twice, or the cache of another dataset.
    """
    content = check_shape(read_numpy_pickle(path), _Content, path, EXPECTED)
    names = content["labels"]
    if classes is not None and names != list(classes):
        raise ValueError(
            f"{path}: labels: a cache of another dataset: {len(names)} classes "
            f"{shown(names)}, expected {len(classes)} {shown(list(classes))}"
        )
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path}: labels: {twice[0]!r} stands twice")
    if not content["nframes"]:
        raise ValueError(f"{path}: nframes: holds no video")
    _check_ids(content, path)
    return ActCache(_annotations(content, path), content["train_videos"], content["test_videos"])


def _check_ids(content: _Content, path: str | Path) -> None:
    """Raise `ValueError` unless all parts of the cache name the same videos."""
    known = content["nframes"].keys()
    for key in ("resolution", "gttubes"):
        if differing := sorted(known ^ content[key].keys()):
            raise ValueError(
                f"{path}: {key}: expected the videos of nframes, differs in {_listed(differing)}"
            )
    for key in ("train_videos", "test_videos"):
        for number, videos in enumerate(content[key], 1):  # type: ignore[literal-required]
            if unknown := sorted(set(videos) - known):
                raise ValueError(f"{path}: {key}, split {number}: no such {_listed(unknown)}")
    if len(content["train_videos"]) != len(content["test_videos"]):
        raise ValueError(
            f"{path}: expected as many lists of train_videos as of test_videos, got "
            f"{len(content['train_videos'])} and {len(content['test_videos'])}"
        )


def _listed(names: Sequence[str]) -> str:
    more = f" (and {len(names) - 3} more)" if len(names) > 3 else ""
    return f"{'video' if len(names) == 1 else 'videos'} {', '.join(names[:3])}{more}"


def _annotations(content: _Content, path: str | Path) -> TubeAnnotations:
    names = sorted(content["nframes"])
    parts = []
    for number, name in enumerate(names):
        for label, tubes in sorted(content["gttubes"][name].items()):
            if not 0 <= label < len(content["labels"]):
                raise ValueError(
                    f"{path}, video {name}: class {label}, expected 0 to "
                    f"{len(content['labels']) - 1}"
                )
            for place, rows in enumerate(tubes):
                where = f"{path}, video {name}, class {label}, tube {place}"
                start, boxes = _checked_tube(rows, where)
                parts.append((number, label, 1.0, start, boxes))
    return TubeAnnotations(
        content["labels"],
        names,
        np.array([content["nframes"][name] for name in names], np.int64),
        np.array([content["resolution"][name] for name in names], np.int64).reshape(-1, 2),
        make_tubes(parts),
    )


def _checked_tube(rows: Any, where: str) -> tuple[int, np.ndarray]:
    """Return the first frame and the boxes `[n, 4]` of a tube's rows `[n, 5]`."""
    if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "iuf":
        raise ValueError(f"{where}: expected an array [n, 5] of numbers, got {shown(rows)}")
    if rows.ndim != 2 or rows.shape[1] != 5 or not len(rows):
        raise ValueError(f"{where}: expected an array [n, 5], got {list(rows.shape)}")
    table = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(table).all():
        raise ValueError(f"{where}: holds a number that is not finite")
    start = table[0, 0]
    if not (start.is_integer() and 1 <= start <= MOST_FRAMES):
        raise ValueError(f"{where}: expected a first frame from 1 on, got {start:g}")
    if gaps := np.flatnonzero(table[:, 0] != start + np.arange(len(table))).tolist():
        raise ValueError(
            f"{where}: expected consecutive frames, got {table[gaps[0], 0]:g} after "
            f"{table[gaps[0] - 1, 0]:g}"
        )
    if (table[:, 3:] < table[:, 1:3]).any():
        raise ValueError(f"{where}: a box ends before it begins")
    return int(start), table[:, 1:].copy()


def write_act_cache(cache: ActCache, path: str | Path) -> None:
    """Write a cache that ACT's code (Python 2) and newer ones read, whole or not at all.

    Arrays are float32 where that is exact, otherwise float64. `read_act_cache` gives the same back,
    with the tubes of each video ordered by class.

    Raises:
        ValueError: Naming a video whose number of frames or size is not known.
    """
    notes = cache.annotations
    if video := notes.unmeasured():
        raise ValueError(
            f"{video}: its number of frames or its size is not known, and ACT's cache needs both"
        )
    content = {
        "labels": list(notes.classes),
        "train_videos": cache.train,
        "test_videos": cache.test,
        "nframes": dict(zip(notes.videos, notes.frame_counts.tolist(), strict=True)),
        "resolution": dict(zip(notes.videos, map(tuple, notes.sizes.tolist()), strict=True)),
        "gttubes": _tables(notes),
    }
    write_whole(path, dump_numpy_pickle(content, protocol=2))


def _tables(notes: TubeAnnotations) -> dict[str, dict[int, list[np.ndarray]]]:
    """The tubes as arrays `[n, 5]` by video and class."""
    tubes = notes.tubes
    table = np.column_stack([tubes.row_frame(), tubes.boxes])
    if (table == table.astype(np.float32)).all():
        table = table.astype(np.float32)
    found: dict[str, dict[int, list[np.ndarray]]] = {video: {} for video in notes.videos}
    for tube in range(len(tubes)):
        rows = table[tubes.ends[tube] : tubes.ends[tube + 1]]
        label = int(tubes.label[tube])
        found[notes.videos[tubes.video[tube]]].setdefault(label, []).append(rows.copy())
    return found


def splits_from_lists(
    annotations: TubeAnnotations, test: Iterable[Sequence[str]], source: str = "the test list"
) -> ActCache:
    """Return the annotation with splits given by their test lists; training is on all the others.

    Args:
        source: Where the lists are from, for messages.

    Raises:
        ValueError: Naming ids that have no annotation.
    """
    lists = [annotations.subset(videos, source).videos for videos in test]
    train = [sorted(set(annotations.videos) - set(videos)) for videos in lists]
    return ActCache(annotations, train, lists)
