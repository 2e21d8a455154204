"""The proposals of the first step: a grid of boxes, the same for every image, or boxes from a file.

Paper, implementation details; docs/method.md, "Proposals". Boxes are fractions of width and height.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from utils.formats.ava_csv import check_video_name, parse_box, parse_number, parse_second, read_rows
from utils.formats.schema import shown
from utils.structures import ClipKey

Scale = tuple[Fraction, Fraction]

WHOLE: Scale = (Fraction(1), Fraction(0))
# (a, o): boxes of side 1 / a that overlap their neighbour by the share o of their side. A preset is
# named by its number of boxes; AVA's 34 is the paper's, the larger ones are the release's.
PRESETS: dict[int, tuple[Scale, ...]] = {
    1: (WHOLE,),  # for the paper's Figure 6
    5: (WHOLE, (Fraction(2), Fraction(0))),  # ours: the whole image and its quarters
    11: (WHOLE, (Fraction(4, 3), Fraction(0)), (Fraction(2), Fraction(1, 2))),  # UCF101-24
    34: ((Fraction(4, 3), Fraction(5, 6)), (Fraction(2), Fraction(3, 4))),
}
PRESETS[59] = (*PRESETS[34], (Fraction(3), Fraction(1, 2)))
PRESETS[84] = (*PRESETS[59], (Fraction(4), Fraction(1, 4)))
PRESETS[109] = (*PRESETS[84], (Fraction(5), Fraction(0)))


def grid_proposals(preset: int | str) -> Tensor:
    """The boxes of a preset, `[M, 4]` float32 fractions; x is the outer loop of each scale.

    A scale whose boxes do not fill the image is placed at its centre (the 11's single box of side
    3/4).

    Raises:
        ValueError: For a number that is no preset.
    """
    if not is_grid(preset):
        known = ", ".join(str(name) for name in sorted(PRESETS))
        raise ValueError(f"proposals: expected a grid of {known} boxes, got {shown(preset)}")
    boxes = [box for scale in PRESETS[int(preset)] for box in _grid(*scale)]
    return torch.tensor([[float(value) for value in box] for box in boxes])


def is_grid(preset: object) -> bool:
    """Return whether `preset`, a number or its digits, names a grid."""
    return isinstance(preset, int | str) and str(preset) in map(str, PRESETS)


def _grid(scale: Fraction, overlap: Fraction) -> list[tuple[Fraction, ...]]:
    """One scale's boxes. Fractions, since a corner summed in floats can miss the last row."""
    side = 1 / scale
    step = side * (1 - overlap)
    count = math.floor((1 - side) / step) + 1
    margin = (1 - side - (count - 1) * step) / 2
    corners = [margin + i * step for i in range(count)]
    return [(x, y, x + side, y + side) for x in corners for y in corners]


def read_proposals(path: str | Path, threshold: float) -> dict[ClipKey, np.ndarray]:
    """Read boxes of another detector: rows `video,timestamp,x1,y1,x2,y2[,...],score`.

    Returns:
        `[N, 4]` float32 fractions for every image that has a box with a score above `threshold`, in
        the order of the file.

    Raises:
        ValueError: Naming file and line.
    """
    boxes: dict[ClipKey, list] = defaultdict(list)
    for where, cells in read_rows(path):
        if len(cells) < 7:
            raise ValueError(
                f"{where}: expected at least 7 columns video,timestamp,x1,y1,x2,y2[,...],score, "
                f"got {len(cells)}: {','.join(cells)[:200]!r}"
            )
        key = ClipKey(check_video_name(cells[0], where), parse_second(cells[1], where))
        box = parse_box(cells[2:6], where)
        if parse_number(cells[-1], "score", where) > threshold:
            boxes[key].append(box)
    return {key: np.array(values, dtype=np.float32) for key, values in boxes.items()}
