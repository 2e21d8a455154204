"""Overlaps of boxes and tubelets on inclusive pixels.

Boxes are `(x1, y1, x2, y2)`. In ACT's convention the pixel x2 belongs to the box: its width is
`x2 - x1 + 1`. `pad` is that 1, or 0 where a protocol leaves it out.
"""

from __future__ import annotations

import numpy as np

from external.matching import Floats


def box_overlaps(a: Floats, b: Floats, pad: float = 1.0) -> Floats:
    """Return the intersection over union of boxes `a` `[..., 4]` and `b` `[..., 4]`, `[...]`."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]) + pad
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]) + pad
    common = np.maximum(width, 0) * np.maximum(height, 0)
    total = box_areas(a, pad) + box_areas(b, pad) - common
    return np.divide(common, total, out=np.zeros_like(common), where=total > 0)


def box_areas(boxes: Floats, pad: float = 1.0) -> Floats:
    """Return the areas `[...]` of boxes `[..., 4]`."""
    return (boxes[..., 2] - boxes[..., 0] + pad) * (boxes[..., 3] - boxes[..., 1] + pad)


def tubelet_overlaps(a: Floats, b: Floats, pad: float = 1.0) -> Floats:
    """Return the mean over K frames of the boxes' overlaps: `[..., K, 4]` twice to `[...]`."""
    return box_overlaps(a, b, pad).mean(axis=-1)
