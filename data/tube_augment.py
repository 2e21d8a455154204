"""What is drawn for a clip of tubes: one crop and one mirroring for all its frames, RGB and flow.

ACT's crop samplers, of which six act: the whole image, and crops whose overlap with a tube is at
least 0.1, 0.3, 0.5, 0.7 or 0.9. We differ where ACT's code seems to be wrong: a crop larger than
the image is drawn again, images and boxes are cut by the same whole pixels, and the seventh sampler
(overlap at most 1), which never acts in ACT's code, is left out. The paper says only "flip and crop
of the sequence"; the choice of these samplers is ours.
"""

from __future__ import annotations

import numpy as np

from data.augment import draw_fitting
from data.transforms import Crop, View, crop_boxes

PROBABILITY = 0.5
OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9)
"""Least overlap of each sampler; `None` is the whole image."""

SCALE = (0.3, 1.0)
ASPECT = (0.5, 2.0)


def draw_tube_view(
    tubes: np.ndarray,
    height: int,
    width: int,
    size: int,
    rng: np.random.Generator,
    crop: bool = True,
    flip: bool = True,
) -> View:
    """Draw what a clip shows of its `height x width` images with tubes `[G, K, 4]` (pixels).

    Law: of G > 0 tubes the view keeps at least one (`kept_tubes`).
    """
    chosen = draw_tube_crop(tubes, height, width, rng) if crop else Crop(0, 0, width, height)
    return View(chosen, size, bool(flip and rng.random() < PROBABILITY))


def draw_tube_crop(tubes: np.ndarray, height: int, width: int, rng: np.random.Generator) -> Crop:
    """Draw one of the samplers, and a crop for it (`draw_fitting`).

    A crop fits if its overlap with a tube, the mean IoU over the K frames, is large enough, and if
    it keeps a tube. Without tubes it is the whole image.
    """
    whole = Crop(0, 0, width, height)
    if not len(tubes):
        return whole
    crop = draw_fitting(
        OVERLAPS,
        lambda: _draw_rectangle(height, width, rng),
        lambda crop, overlap: _fits(crop, tubes, overlap),
        rng,
    )
    return crop or whole


def _draw_rectangle(height: int, width: int, rng: np.random.Generator) -> Crop | None:
    """A rectangle of whole pixels; `None` if a side would be longer than the image's.

    Scale and aspect are of the image taken as a unit square: the sides are `s sqrt(a)` and
    `s / sqrt(a)` of its sides.
    """
    scale, aspect = rng.uniform(*SCALE), rng.uniform(*ASPECT)
    w, h = round(scale * np.sqrt(aspect) * width), round(scale / np.sqrt(aspect) * height)
    if not (0 < w <= width and 0 < h <= height):
        return None
    x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    return Crop(x, y, x + w, y + h)


def _fits(crop: Crop, tubes: np.ndarray, overlap: float) -> bool:
    """Whether a crop keeps a tube of `[G, K, 4]` and overlaps a tube by at least `overlap`."""
    if not kept_tubes(View(crop, crop.width), tubes).any():
        return False
    inside = crop_boxes(tubes, crop)
    intersection = (inside[..., 2:] - inside[..., :2]).prod(axis=-1)
    areas = (tubes[..., 2:] - tubes[..., :2]).prod(axis=-1)
    union = areas + crop.height * crop.width - intersection
    return bool((intersection / union).mean(axis=-1).max() >= overlap)


def kept_tubes(view: View, tubes: np.ndarray) -> np.ndarray:
    """Which tubes `[G, K, 4]` (pixels of the images) have their centres in view in all K frames.

    Returns:
        Bool `[G]`.
    """
    return np.asarray(view.holds(tubes).all(axis=-1))
