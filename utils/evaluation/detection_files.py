"""A step's detections as AVA's CSV file, and as the table that the AVA evaluation takes.

Both have the same numbers: coordinates were rounded when they were collected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from external.ava_evaluation import Boxes
from utils.evaluation.collecting import ImageResult
from utils.formats.ava_csv import quote_cell
from utils.structures import ClipKey

PREFIX = "detections_step"


def file_name(step: int) -> str:
    """Return the name of the file of `step`, counted from 1."""
    return f"{PREFIX}{step}.csv"


def write_detections(
    steps: Sequence[Mapping[ClipKey, ImageResult]], ids: Sequence[int], folder: str | Path
) -> list[Path]:
    """Write `detections_step<s>.csv` of every step into `folder`; returns their paths.

    Rows `video,second,x1,y1,x2,y2,class id,score` without a header, by video and second, best score
    first; boxes are fractions of width and height.

    Args:
        ids: Of the classes, by number from 0.
    """
    paths = []
    for step, images in enumerate(steps, start=1):
        paths.append(Path(folder) / file_name(step))
        with open(paths[-1], "w", encoding="utf-8", newline="\n") as file:
            for key in sorted(images):
                file.write(_rows(key, images[key], np.array(ids)))
    return paths


def _rows(key: ClipKey, result: ImageResult, ids: np.ndarray) -> str:
    """The CSV rows of one image. Nine digits tell any two float32 scores apart."""
    start = f"{quote_cell(key.video)},{key.timestamp:04d}"
    columns = (result.boxes.tolist(), ids[result.classes].tolist(), result.scores.tolist())
    return "".join(
        f"{start},{x1:.6f},{y1:.6f},{x2:.6f},{y2:.6f},{label},{score:.9g}\n"
        for (x1, y1, x2, y2), label, score in zip(*columns, strict=True)
    )


def as_boxes(images: Mapping[ClipKey, ImageResult], ids: Sequence[int], source: str) -> Boxes:
    """Return the rows of a step's file, in its order, for the AVA evaluation.

    Args:
        ids: Of the classes, by number from 0.
        source: Names them in errors.
    """
    keys = sorted(images)
    results = [images[key] for key in keys]
    classes = _concatenated([r.classes for r in results], np.int64)
    counts = [len(r.scores) for r in results]
    return Boxes(
        keys=[(key.video, f"{key.timestamp:04d}") for key in keys],
        image=np.repeat(np.arange(len(keys), dtype=np.int32), counts),
        boxes=_concatenated([r.boxes for r in results], np.float64).reshape(-1, 4),
        label=np.array(ids, dtype=np.int64)[classes],
        score=_concatenated([r.scores for r in results], np.float64),
        source=source,
    )


def _concatenated(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if arrays else np.zeros(0, dtype=dtype)
