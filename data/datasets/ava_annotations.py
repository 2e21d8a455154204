"""Annotations for training and testing: persons per key frame, with multi-hot labels (AVA).

What a file says (`data/datasets/ava_records.py`) meets the label map here. A person of the file
stays a person even if none of its actions is in the label map: its box is still a box to find.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.datasets.ava_records import Records, read_records
from external import ava_evaluation
from utils.structures import ClipKey

# Of AVA's 80 actions these have too few examples to be evaluated; annotation files list them all.
AVA_UNEVALUATED = frozenset(
    (2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75)
)
AVA_EVALUATED = frozenset(range(1, 81)) - AVA_UNEVALUATED


@dataclass(frozen=True)
class Annotations:
    """P persons on key frames.

    Arrays, since AVA's hundred thousands of persons are copied into every loader process.

    Attributes:
        classes: Label map, id to name, ascending ids; column c of `labels` is the c-th of them.
        boxes: `[P, 4]` float32, fractions of width and height.
        labels: `[P, C]` bool.
        persons: `[P]` int64 ids that last within a video, or None if the file has none.
        spans: The rows of each image that the file names, `(first, past the last)`, sorted by key.
        dropped: Labels left out, because the label map is AVA's 60 and they are of the other 20.
    """

    classes: dict[int, str]
    boxes: np.ndarray
    labels: np.ndarray
    persons: np.ndarray | None
    spans: dict[ClipKey, tuple[int, int]]
    dropped: int = 0

    def annotated(self) -> list[ClipKey]:
        """Images with at least one person, sorted."""
        return [key for key, (first, end) in self.spans.items() if end > first]

    def videos(self) -> list[str]:
        """Videos that the file names, sorted."""
        return sorted({key.video for key in self.spans})

    def rows(self, key: ClipKey) -> slice:
        """The rows of an image; none for an image that the file does not name."""
        return slice(*self.spans.get(key, (0, 0)))

    def neighbors(
        self, key: ClipKey, reach: int, clip_seconds: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of the same G persons up to `reach` clips of `clip_seconds` before and after.

        Returns:
            Boxes `[G, reach, 2, 4]` (fractions, zero where unknown) and `[G, reach, 2]` bool:
            `[:, r, 0]` is at `t - (r + 1) * clip_seconds`, `[:, r, 1]` at `t + ...`. Nothing is
            known without person ids, or if clips do not last whole seconds: annotations do.
        """
        rows = self.rows(key)
        count = rows.stop - rows.start
        boxes = np.zeros((count, reach, 2, 4), dtype=np.float32)
        valid = np.zeros((count, reach, 2), dtype=bool)
        if self.persons is None or not float(clip_seconds).is_integer():
            return boxes, valid
        for r in range(reach):
            for side, sign in enumerate((-1, 1)):
                second = key.timestamp + sign * (r + 1) * int(clip_seconds)
                other = self.rows(ClipKey(key.video, second))
                for person, box in zip(self.persons[other], self.boxes[other], strict=True):
                    same = self.persons[rows] == person
                    boxes[same, r, side] = box
                    valid[same, r, side] = True
        return boxes, valid


def read_annotations(path: str | Path, classes: dict[int, str]) -> Annotations:
    """Read an annotation file for the label map `classes`: training, test and analysis all do.

    Raises:
        ValueError: For a file whose ending is in none of `READERS`, and as its reader.
    """
    path = Path(path)
    if path.suffix not in READERS:
        *others, last = READERS
        raise ValueError(
            f"{path}: expected an annotation file ending in {', '.join(others)} or {last}"
        )
    return READERS[path.suffix](path, classes)


def read_ava(path: Path, classes: dict[int, str]) -> Annotations:
    """Read `.csv` or `.pkl` annotations (`ava_records.py`) for the label map `classes`.

    Raises `ValueError` naming file and line: wrong columns, no number, a box outside [0, 1] or
    without area, a timestamp that is no whole second, an empty file, an action id that is not in
    the label map. Only where the label map is AVA's evaluation list are AVA's other 20 ids legal:
    they are left out and counted.
    """
    records = read_records(path)
    _check_actions(records, classes)
    return _to_arrays(records, dict(sorted(classes.items())))


READERS: dict[str, Callable[[Path, dict[int, str]], Annotations]] = {
    ".csv": read_ava,
    ".pkl": read_ava,
}
"""The reader of each ending, from file and label map (id to name). A new format is a line here."""


def _check_actions(records: Records, classes: dict[int, str]) -> None:
    ignored = AVA_UNEVALUATED if set(classes) == AVA_EVALUATED else frozenset()
    for action, where in records.first_seen.items():
        if action not in classes and action not in ignored:
            raise ValueError(
                f"{where}: unknown label id {action}: expected one of the label map's "
                f"{len(classes)} ids, {min(classes)} to {max(classes)}"
            )


def _to_arrays(records: Records, classes: dict[int, str]) -> Annotations:
    column = {action: c for c, action in enumerate(classes)}
    keys = sorted(records.images)
    persons = [person for key in keys for person in records.images[key]]
    ends = np.cumsum([0] + [len(records.images[key]) for key in keys]).tolist()
    labels = np.zeros((len(persons), len(classes)), dtype=bool)
    dropped = 0
    for row, person in zip(labels, persons, strict=True):
        known = [column[action] for action in person.actions if action in column]
        row[known] = True
        dropped += len(person.actions) - len(known)
    return Annotations(
        classes,
        np.array([person.box for person in persons], dtype=np.float32).reshape(-1, 4),
        labels,
        np.array([p.person for p in persons], dtype=np.int64) if records.has_persons else None,
        {key: (ends[i], ends[i + 1]) for i, key in enumerate(keys)},
        dropped,
    )


def read_exclusions(path: str | Path) -> frozenset[ClipKey]:
    """Read rows `video,timestamp` of images to leave out, as the evaluation reads them.

    A file without rows excludes none.

    Raises:
        ValueError: Naming file and line.
    """
    return frozenset(ClipKey(*image) for image in ava_evaluation.read_exclusions(path))
