"""How well boxes cover the annotated persons, from the first proposals to the last step's boxes.

A step's boxes are the next step's proposals; what is counted here is the paper's Figure 4, the IoU
of every step's input proposals with the ground truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from utils.geometry.boxes import box_iou

# An annotated person counts as found where a box overlaps with it by this much; AVA's threshold.
IOU_THRESHOLD = 0.5
# Overlaps are counted in this many equal parts of [0, 1]; every twentieth is a bound.
BINS = 20


@dataclass(frozen=True)
class Overlap:
    """Of one image with G annotated persons.

    Attributes:
        persons: `[G]` float32, the best IoU of each person with any box; 0 without boxes.
        boxes: `[BINS]` int32, the boxes by their best IoU with any person; none without persons.
    """

    persons: np.ndarray
    boxes: np.ndarray


def measure_overlap(truth: Tensor, boxes: Tensor) -> Overlap:
    """Overlap of annotated boxes `[G, 4]` with `boxes` `[M, 4]`, both in the same unit."""
    if not len(truth) or not len(boxes):
        return Overlap(np.zeros(len(truth), dtype=np.float32), np.zeros(BINS, dtype=np.int32))
    iou = box_iou(truth.float(), boxes.float())
    best = iou.amax(dim=1).numpy()
    return Overlap(best, histogram(iou.amax(dim=0).numpy()).astype(np.int32))


def histogram(overlaps: np.ndarray) -> np.ndarray:
    """Number of overlaps `[n]` in each of `BINS` parts: `[k / BINS, (k + 1) / BINS)`, 1 last."""
    part = np.minimum((overlaps * BINS).astype(np.int64), BINS - 1)
    return np.bincount(part, minlength=BINS)


def summarize(overlaps: Sequence[Overlap]) -> dict[str, float | None]:
    """Recall at `IOU_THRESHOLD` and mean best IoU over the persons of all images."""
    best = _persons(overlaps)
    if not len(best):
        return {"recall": None, "mean_iou": None}
    return {"recall": float((best >= IOU_THRESHOLD).mean()), "mean_iou": float(best.mean())}


def describe_stages(stages: Iterable[tuple[str, Sequence[Overlap]]]) -> dict[str, Any]:
    """The counts of several sets of boxes by name, as plain values for a JSON file.

    `persons` and `boxes` are counts in `BINS` parts of [0, 1]: recall at k / BINS is the share of
    `persons` from part k on.
    """
    return {
        "iou_edges": [k / BINS for k in range(BINS + 1)],
        "stages": [
            {
                "name": name,
                **summarize(overlaps),
                "persons": histogram(_persons(overlaps)).tolist(),
                "boxes": sum((o.boxes for o in overlaps), np.zeros(BINS, dtype=np.int64)).tolist(),
            }
            for name, overlaps in stages
        ],
    }


def _persons(overlaps: Sequence[Overlap]) -> np.ndarray:
    """The persons' overlaps of all images `[P]`, float64."""
    arrays = [overlap.persons for overlap in overlaps]
    return np.concatenate(arrays).astype(np.float64) if arrays else np.zeros(0)
