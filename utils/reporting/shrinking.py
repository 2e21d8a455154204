"""Pictures of a limited size: frames, and what is drawn on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from utils.reporting.drawing import draw_persons
from utils.reporting.persons import Person


def shrink(image: np.ndarray, longest: int | None) -> np.ndarray:
    """Return a picture whose longer side has at most `longest` pixels, and even sides if it shrank.

    Args:
        image: `[H, W, 3]` uint8.
        longest: Pixels; `None`: any number.
    """
    height, width = image.shape[:2]
    if longest is None or max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    size = [max(2 * int(side * scale / 2 + 1e-9), 2) for side in (width, height)]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def draw_shrunk(
    image: np.ndarray, persons: Sequence[Person], names: Sequence[str], longest: int | None
) -> np.ndarray:
    """Return a picture of at most `longest` pixels along a side with persons drawn on it.

    Lines and letters fit the picture that is returned.

    Args:
        image: `[H, W, 3]` uint8.
        persons: Boxes in pixels of `image`.
        names: Of the classes, by number from 0.
        longest: Pixels; `None`: any number.
    """
    small = shrink(image, longest)
    x, y = small.shape[1] / image.shape[1], small.shape[0] / image.shape[0]
    moved = [
        replace(p, box=(p.box[0] * x, p.box[1] * y, p.box[2] * x, p.box[3] * y)) for p in persons
    ]
    return draw_persons(small, moved, names)
