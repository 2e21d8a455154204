"""The annotated persons behind the rows of the ground truth, how large they are and how they move.

A row holds one action of one person; errors are counted by person.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from external.ava_evaluation.selection import Selection
from utils.formats.ava_csv import read_rows

PERSON_COLUMNS = 8


@dataclass(frozen=True)
class Persons:
    """P persons on evaluated images, by ascending image.

    Attributes:
        image: `[P]` index into the evaluation's images.
        boxes: `[P, 4]`, unit of the file.
        labels: `[P, C]` bool, the actions that count.
        of_row: `[R]`, the person of each row of the ground truth, -1 where the row's image is left
            out.
        ids: `[P]` numbers that last within a video, None if the file has none.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    of_row: np.ndarray
    ids: np.ndarray | None

    def __len__(self) -> int:
        return len(self.image)


def has_person_column(path: str | Path) -> bool:
    """Whether the rows of an annotation file (CSV) have an eighth column, the person's id."""
    return any(len(cells) == PERSON_COLUMNS for _, cells in read_rows(path))


def find_persons(chosen: Selection, with_ids: bool) -> Persons:
    """The persons of all annotated rows on evaluated images, actions that do not count included.

    Args:
        with_ids: The rows' eighth column, read as `score`, is the person's id. Rows of one image
            with one box are one person.
    """
    table = chosen.truth.table
    image = chosen.truth.image_of_key[table.image]
    sane = (table.boxes[:, :2] <= table.boxes[:, 2:]).all(axis=1)
    rows = np.flatnonzero(~chosen.images.excluded[image] & sane)
    keys = np.column_stack([image[rows], table.boxes[rows]])
    _, first, person = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    of_row = np.full(len(table), -1)
    of_row[rows] = person.reshape(-1)
    labels = np.zeros((len(first), len(chosen.label_map)), dtype=bool)
    for c, of_class in enumerate(chosen.truth.by_class):
        labels[of_row[of_class], c] = True
    return Persons(
        image[rows[first]],
        table.boxes[rows[first]],
        labels,
        of_row,
        table.score[rows[first]] if with_ids else None,
    )


def sizes(persons: Persons) -> np.ndarray:
    """Side of the square with the area of each person's box `[P]`; a share of the picture's side.

    Boxes are fractions, so this is the square root of the share of the picture that they cover.
    """
    return np.sqrt((persons.boxes[:, 2:] - persons.boxes[:, :2]).prod(axis=1))


def displacements(persons: Persons, chosen: Selection) -> np.ndarray:
    """How far each person moves in a second `[P]`, in widths and heights of its own box.

    The distance of the box's centre from that of the same person on the key frame one second
    before, and after; the mean of the two, or the one there is. nan where the person is annotated
    on neither, and for all without ids.

        d = sqrt((dx / w)^2 + (dy / h)^2)
    """
    moved = np.full((2, len(persons)), np.nan)
    if persons.ids is None or not len(persons):
        return moved[0]
    numbers = _second_numbers(persons, chosen)
    order = np.argsort(numbers, kind="stable")
    centers = (persons.boxes[:, :2] + persons.boxes[:, 2:]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        for side, step in enumerate((-1, 1)):
            at = np.searchsorted(numbers, numbers + step, sorter=order)
            other = order[np.minimum(at, len(order) - 1)]
            same = np.flatnonzero(numbers[other] == numbers + step)
            own = persons.boxes[same]
            relative = (centers[other[same]] - centers[same]) / (own[:, 2:] - own[:, :2])
            moved[side, same] = np.sqrt((relative**2).sum(axis=1))
    moved[~np.isfinite(moved)] = np.nan  # a box without width or height
    known = ~np.isnan(moved)
    total = np.where(known, moved, 0).sum(axis=0)
    return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)


def _second_numbers(persons: Persons, chosen: Selection) -> np.ndarray:
    """Number a person's moments `[P]`: the same person one second later has the next number.

    Key frames between whole seconds have no neighbours; each gets a number far from all.
    """
    assert persons.ids is not None
    keys = chosen.images.keys
    videos = {video: i for i, video in enumerate(dict.fromkeys(video for video, _ in keys))}
    video = np.array([videos[video] for video, _ in keys])[persons.image]
    seconds = np.array([float(second) for _, second in keys])[persons.image]
    _, track = np.unique(np.column_stack([video, persons.ids]), axis=0, return_inverse=True)
    whole = seconds == np.floor(seconds)
    second = np.where(whole, seconds - seconds.min(), 0).astype(np.int64)
    span = int(second.max()) + 3  # the last second of one track is not next to another's first
    numbers = track.reshape(-1) * span + second
    numbers[~whole] = numbers.max() + 2 * (1 + np.arange(np.count_nonzero(~whole)))
    return numbers
