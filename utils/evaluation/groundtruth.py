"""The ground truth that detections are judged by, from whatever file the annotation is in."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from external.ava_evaluation import Boxes, read_boxes
from utils.structures import ClipKey


class PersonTable(Protocol):
    """P annotated persons, as `data.datasets.ava_annotations.Annotations` holds them.

    Attributes:
        boxes: `[P, 4]` fractions.
        labels: `[P, C]` bool, column c being the c-th id of `classes`.
        spans: The persons of each image, `(first, past the last)`.
    """

    @property
    def classes(self) -> dict[int, str]: ...

    @property
    def boxes(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def spans(self) -> dict[ClipKey, tuple[int, int]]: ...


def read_groundtruth(path: str | Path, annotations: PersonTable) -> Boxes:
    """The ground truth of the evaluation: the annotation file itself where it is CSV.

    From any other format, the table of what was read: a row for each label of each person.
    """
    if Path(path).suffix == ".csv":
        return read_boxes(path, images_without_boxes=True)
    persons = np.concatenate(
        [np.full(end - first, i) for i, (first, end) in enumerate(annotations.spans.values())]
    )
    person, column = np.nonzero(annotations.labels)
    return Boxes(
        keys=[(key.video, f"{key.timestamp:04d}") for key in annotations.spans],
        image=persons[person].astype(np.int32),
        boxes=annotations.boxes[person].astype(np.float64),
        label=np.array(sorted(annotations.classes), dtype=np.int64)[column],
        score=np.ones(len(person)),
        source=str(path),
    )
