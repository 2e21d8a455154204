"""MABO and classification accuracy of tubelets in CSV files, which are read part by part.

One row per box: `video,frame,x1,y1,x2,y2`, with a header, in any order. Classification accuracy
needs the scores of the box's tubelet too, a column `score:<class>` for each class. Other columns
are not looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from external.act_evaluation.reading import read_box, read_name, read_numbers
from external.act_evaluation.structures import FrameBoxes, Tubelets
from external.act_evaluation.tubelets import best_overlaps, score_sums
from external.files import read_header, read_table
from external.matching import Floats, Ints
from external.names import Names

COLUMNS = ("video", "frame", "x1", "y1", "x2", "y2")
SCORE = "score:"
PART = 20_000
"""Rows that are in memory at a time, whatever the size of the file."""


class OfTruth(NamedTuple):
    """A value for each box of the ground truth, `[G]`, and the videos that the file has."""

    values: NDArray
    videos: Ints


def overlaps_of_file(path: str | Path, truth: FrameBoxes, names: Names) -> OfTruth:
    """Return the best overlap of each box of `truth` with any box of the file on its frame.

    Raises:
        ValueError: As `read_table`, and naming file and line for a box or a frame that is none.
    """
    best, videos = np.zeros(len(truth)), set()
    for tubelets, _ in _parts(path, (), names):
        np.maximum(best, best_overlaps(tubelets.frame_boxes(), truth), out=best)
        videos.update(np.unique(tubelets.video).tolist())
    return OfTruth(best, np.array(sorted(videos), np.int64))


def correct_of_file(path: str | Path, truth: FrameBoxes, names: Names) -> OfTruth:
    """Return whether the class of each box of `truth` has the highest sum of scores on it.

    The sum is over the boxes of the file that overlap it by 0.7 or more on its frame. Where there
    are none, and of equal sums, the first class of the file's header is taken, as ACT does.

    Raises:
        ValueError: As `overlaps_of_file`; for a class of the ground truth without a column; and,
            where `names` is closed, for a column of another class.
    """
    columns = _score_columns(path, names, set(truth.label.tolist()))
    sums, videos = np.zeros((len(truth), len(columns))), set()
    for tubelets, scores in _parts(path, list(columns), names):
        sums += score_sums(tubelets, scores, truth)
        videos.update(np.unique(tubelets.video).tolist())
    column_of = {label: i for i, label in enumerate(columns.values())}
    own = np.array([column_of[label] for label in truth.label.tolist()], np.int64)
    return OfTruth(sums.argmax(axis=1) == own, np.array(sorted(videos), np.int64))


def _score_columns(path: str | Path, names: Names, classes: Collection[int]) -> dict[str, int]:
    """The label of each column of scores, in their order; -1 where the ground truth has none.

    Args:
        classes: Labels of the ground truth.
    """
    header = [name for name in read_header(path, SCORE) if name.startswith(SCORE)]
    labels = {f"{SCORE}{name}": label for name, label in names.labels.items() if label in classes}
    unknown = [name for name in header if name not in labels]
    if unknown and names.closed:
        raise ValueError(f"{path}, line 1: {unknown[0]!r}: the ground truth has no such class")
    next(read_table(path, (*COLUMNS, *labels, *unknown), exact=SCORE), None)  # all are there, once
    return {name: labels.get(name, -1) for name in header}


def _parts(
    path: str | Path, columns: Sequence[str], names: Names
) -> Iterator[tuple[Tubelets, Floats]]:
    """Yield the file's boxes, each as a tubelet of one frame, and their scores `[N, C]`."""
    rows = read_table(path, (*COLUMNS, *columns), exact=SCORE)
    for first in rows:
        part = [
            (
                names.video(read_name(row, "video", where)),
                *read_box(row, where),
                *read_numbers(row, columns, where),
            )
            for where, row in chain([first], islice(rows, PART - 1))
        ]
        numbers = np.array(part, float)
        keys = numbers[:, :2].astype(np.int64)
        unused = np.zeros(len(part), np.int64)
        yield (
            Tubelets(keys[:, 0], keys[:, 1], unused, unused.astype(float), numbers[:, None, 2:6]),
            numbers[:, 6:],
        )
