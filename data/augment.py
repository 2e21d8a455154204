"""Draws augmentation: ranges and probabilities (docs/method.md, "Augmentation").

Everything random comes from the `numpy.random.Generator` that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data import transforms
from data.transforms import UNCHANGED, ColorChange, Crop, Patch, View

PROBABILITY = 0.5
BRIGHTNESS = 32.0
CONTRAST = (0.5, 1.5)
SATURATION = (0.5, 1.5)
HUE_DEGREES = 18.0
# SSD (section 2.2, "Data augmentation"): the patch overlaps some object by at least one of these
# IoUs; 0 is "a random patch", None "the entire image". Its sides are at least 0.3 of the image's
# (as in the common implementations; the paper says 0.1), its aspect 1/2 to 2.
CROP_OVERLAPS = (None, 0.1, 0.3, 0.5, 0.7, 0.9, 0.0)
CROP_SIDE = 0.3
CROP_ASPECT = 2.0
CROP_TRIALS = 50
# Zhong et al., "Random Erasing": areas and aspects; an area that does not fit is drawn again.
ERASE_AREA = (0.02, 0.2)
ERASE_ASPECT = (0.3, 10 / 3)
ERASE_TRIALS = 20


@dataclass(frozen=True)
class Augmentation:
    """Which kinds of augmentation are on; none of them for testing."""

    color: bool = False
    crop: bool = False
    flip: bool = False
    erase: bool = False


NO_AUGMENTATION = Augmentation()


def draw_view(
    boxes: np.ndarray,
    height: int,
    width: int,
    size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> View:
    """Draw what a clip shows of its `height x width` images with persons `boxes` `[G, 4]` (pixels).

    Law: of G > 0 persons the view holds at least one.
    """
    whole = Crop(0, 0, width, height)
    crop = draw_crop(boxes, height, width, rng) if augmentation.crop else whole
    flipped = augmentation.flip and rng.random() < PROBABILITY
    return View(crop, size, bool(flipped))


def draw_crop(boxes: np.ndarray, height: int, width: int, rng: np.random.Generator) -> Crop:
    """Draw SSD's crop for persons `boxes` `[G, 4]` (pixels of the `height x width` image).

    One of `CROP_OVERLAPS` is drawn, and up to `CROP_TRIALS` patches for it; if none fits, another
    is drawn. A patch must hold the centre of a person, so no clip loses them all. Without persons
    it is the entire image.
    """
    whole = Crop(0, 0, width, height)
    if not len(boxes):
        return whole
    crop = draw_fitting(
        CROP_OVERLAPS,
        lambda: _draw_patch(height, width, rng),
        lambda crop, overlap: _accepts(crop, boxes, overlap),
        rng,
    )
    return crop or whole


def draw_fitting(
    overlaps: Sequence[float | None],
    draw: Callable[[], Crop | None],
    fits: Callable[[Crop, float], bool],
    rng: np.random.Generator,
) -> Crop | None:
    """Draw one of `overlaps`, and up to `CROP_TRIALS` crops for it; if none fits, another one.

    Args:
        overlaps: Least overlap of each sampler; `None` is the whole image, which always fits.
        draw: Returns a crop, or `None` where what it has drawn is no crop.
        fits: Whether a crop has an overlap.

    Returns:
        `None` for the whole image.
    """
    while (overlap := overlaps[int(rng.integers(len(overlaps)))]) is not None:
        for _ in range(CROP_TRIALS):
            crop = draw()
            if crop is not None and fits(crop, overlap):
                return crop
    return None


def _draw_patch(height: int, width: int, rng: np.random.Generator) -> Crop | None:
    """A patch of whole pixels inside the image, or None if its aspect is out of range."""
    w = max(round(rng.uniform(CROP_SIDE, 1) * width), 1)
    h = max(round(rng.uniform(CROP_SIDE, 1) * height), 1)
    x, y = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
    return Crop(x, y, x + w, y + h) if 1 / CROP_ASPECT <= h / w <= CROP_ASPECT else None


def _accepts(crop: Crop, boxes: np.ndarray, overlap: float) -> bool:
    """Whether a person's centre is inside and a person's IoU with the patch is large enough."""
    if not View(crop, crop.width).holds(boxes).any():
        return False
    inside = transforms.crop_boxes(boxes, crop)
    intersection = (inside[:, 2:] - inside[:, :2]).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + crop.height * crop.width - intersection
    return bool((intersection / union).max() >= overlap)


def draw_color(augmentation: Augmentation, rng: np.random.Generator) -> ColorChange:
    """Draw brightness, contrast, saturation, hue and channel order, each with probability 1/2."""
    if not augmentation.color:
        return UNCHANGED
    brightness = _maybe(rng, -BRIGHTNESS, BRIGHTNESS, otherwise=0.0)
    contrast = _maybe(rng, *CONTRAST, otherwise=1.0)
    saturation = _maybe(rng, *SATURATION, otherwise=1.0)
    hue = _maybe(rng, -HUE_DEGREES, HUE_DEGREES, otherwise=0.0)
    first, second, third = (0, 1, 2)
    if rng.random() < PROBABILITY:
        first, second, third = rng.permutation(3).tolist()
    return ColorChange(brightness, contrast, saturation, hue, (first, second, third))


def _maybe(rng: np.random.Generator, low: float, high: float, otherwise: float) -> float:
    """A value of the range with probability 1/2."""
    value = float(rng.uniform(low, high))
    return value if rng.random() < PROBABILITY else otherwise


def draw_patches(
    boxes: np.ndarray, augmentation: Augmentation, rng: np.random.Generator
) -> list[Patch]:
    """With probability 1/2 for each person, noise that covers a part of its box `[G, 4]` (pixels).

    One rectangle per person, inside its key frame's box, is covered in all frames with the same
    noise: like an object in the foreground it stays where it is.
    """
    patches = []
    for box in boxes if augmentation.erase else ():
        if rng.random() < PROBABILITY:
            rectangle = _draw_rectangle(box, rng)
            if rectangle is not None:
                noise = rng.integers(0, 256, (rectangle.height, rectangle.width, 3), dtype=np.uint8)
                patches.append(Patch(rectangle.x1, rectangle.y1, noise))
    return patches


def _draw_rectangle(box: np.ndarray, rng: np.random.Generator) -> Crop | None:
    """A rectangle of whole pixels inside `box`; None where no fitting one is found."""
    x1, y1, x2, y2 = np.ceil(box[0]), np.ceil(box[1]), np.floor(box[2]), np.floor(box[3])
    area = float((box[2] - box[0]) * (box[3] - box[1]))
    for _ in range(ERASE_TRIALS):
        part = rng.uniform(*ERASE_AREA) * area
        aspect = np.exp(rng.uniform(*np.log(ERASE_ASPECT)))
        h, w = round(np.sqrt(part * aspect)), round(np.sqrt(part / aspect))
        if 0 < h <= y2 - y1 and 0 < w <= x2 - x1:
            x = int(rng.integers(x1, x2 - w, endpoint=True))
            y = int(rng.integers(y1, y2 - h, endpoint=True))
            return Crop(x, y, x + w, y + h)
    return None
