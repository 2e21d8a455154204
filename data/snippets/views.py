"""What SSN sees of an image: crops of several sizes in training, one or ten crops in tests.

Places and sizes are TSN's (Wang et al., ECCV 2016). Images are resized with a low-pass filter, as
Pillow does it: without one, small images look different from those of training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

View = Callable[[Tensor, bool], Tensor]
"""Images `[U, c, H, W]` uint8, and whether they are flow, to `[crops, U, c, side, side]`."""

SCALES = {
    "RGB": (1.0, 0.875, 0.75, 0.66),
    "Flow": (1.0, 0.875, 0.75),
    "RGBDiff": (1.0, 0.875, 0.75),
}
"""Sides of training crops, as shares of the image's short side, by modality."""

SNAP = 2
"""Crops whose side differs from the input's by at most so many pixels are taken at its side."""


@dataclass(frozen=True)
class CropDraw:
    """One draw of the augmentation: all snippets of a proposal share it.

    Attributes:
        left, top, width, height: Of the crop [pixels].
        flipped: Mirrored left to right.
    """

    left: int
    top: int
    width: int
    height: int
    flipped: bool


def crop_sizes(short_side: int, side: int, scales: tuple[float, ...]) -> list[int]:
    """Return the sides of training crops; see `SNAP`."""
    sizes = [int(short_side * scale) for scale in scales]
    return [side if abs(size - side) <= SNAP else size for size in sizes]


def crop_pairs(sizes: list[int]) -> list[tuple[int, int]]:
    """Return pairs of width and height, at most one step of the scales apart."""
    return [
        (sizes[j], sizes[i])
        for i in range(len(sizes))
        for j in range(len(sizes))
        if abs(i - j) <= 1
    ]


def crop_offsets(width: int, height: int, crop_width: int, crop_height: int) -> list[list[int]]:
    """Return the 13 places of a training crop, left and top.

    Corners, centre, middles of the edges, and the centres of the quarters.
    """
    x, y = (width - crop_width) // 4, (height - crop_height) // 4
    steps = [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)]
    steps += [(0, 2), (4, 2), (2, 4), (2, 0), (1, 1), (3, 1), (1, 3), (3, 3)]
    return [[i * x, j * y] for i, j in steps]


def corner_offsets(width: int, height: int, side: int) -> list[list[int]]:
    """Return the five places of a test crop: upper left and right, lower left and right, centre."""
    x, y = (width - side) // 4, (height - side) // 4
    return [[i * x, j * y] for i, j in ((0, 0), (4, 0), (0, 4), (4, 4), (2, 2))]


def draw_crop(
    width: int, height: int, side: int, scales: tuple[float, ...], rng: np.random.Generator
) -> CropDraw:
    """Draw the crop of a proposal, and whether it is mirrored: every choice is as likely."""
    pairs = crop_pairs(crop_sizes(min(width, height), side, scales))
    fitting = [p for p in pairs if p[0] <= width and p[1] <= height]
    # Only where an image is smaller than the network's input does a snapped side not fit.
    chosen = fitting[rng.integers(len(fitting))] if fitting else (width, height)
    places = crop_offsets(width, height, *chosen)
    left, top = places[rng.integers(len(places))]
    return CropDraw(left, top, *chosen, bool(rng.random() < 0.5))


@dataclass(frozen=True)
class TrainingView:
    """One crop, at the network's side.

    Attributes:
        modality: Decides on the scales.
        flip: Mirror half.
        multi_scale: False: the centre, as `CropView` sees it.
    """

    side: int
    modality: str
    rng: np.random.Generator
    flip: bool = True
    multi_scale: bool = True

    def __call__(self, images: Tensor, flow: bool) -> Tensor:
        """One draw for all images `[U, c, H, W]`: `[1, U, c, side, side]`."""
        if not self.multi_scale:
            seen = CropView(self.side)(images, flow)
            return mirrored(seen, flow) if self.flip and self.rng.random() < 0.5 else seen
        height, width = images.shape[-2:]
        draw = draw_crop(width, height, self.side, SCALES[self.modality], self.rng)
        crop = images[..., draw.top : draw.top + draw.height, draw.left : draw.left + draw.width]
        crop = resized(crop, self.side, self.side)
        return (mirrored(crop, flow) if draw.flipped and self.flip else crop)[None]


@dataclass(frozen=True)
class CropView:
    """The centre, or ten crops: four corners and the centre, each as it is and mirrored."""

    side: int
    crops: int = 1

    def __post_init__(self) -> None:
        if self.crops not in (1, 10):
            raise ValueError(f"crops: expected 1 or 10, got {self.crops}")

    def __call__(self, images: Tensor, flow: bool) -> Tensor:
        """Images `[U, c, H, W]` to `[crops, U, c, side, side]`."""
        images = short_side_resized(images, self.side * 256 // 224)
        height, width = images.shape[-2:]
        if self.crops == 1:
            left, top = round((width - self.side) / 2), round((height - self.side) / 2)
            return images[None, ..., top : top + self.side, left : left + self.side]
        seen = []
        for left, top in corner_offsets(width, height, self.side):
            crop = images[..., top : top + self.side, left : left + self.side]
            seen += [crop, mirrored(crop, flow)]
        return torch.stack(seen)


def short_side_resized(images: Tensor, short: int) -> Tensor:
    """Images `[..., H, W]` whose shorter side has `short` pixels; the longer is truncated."""
    height, width = images.shape[-2:]
    if min(height, width) == short:
        return images
    if width < height:
        return resized(images, int(short * height / width), short)
    return resized(images, short, int(short * width / height))


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Images `[U, c, H, W]` uint8 at another size, bilinear over what an output pixel covers."""
    if images.shape[-2:] == (height, width):
        return images
    return functional.interpolate(images, (height, width), mode="bilinear", antialias=True)


def mirrored(images: Tensor, flow: bool) -> Tensor:
    """Images `[..., c, H, W]` mirrored left to right; of flow, x points the other way then.

    Flow is encoded with its zero between 127 and 128, so that 255 - v is its exact negation.
    """
    turned = images.flip(-1)
    if flow:
        turned[..., 0::2, :, :] = 255 - turned[..., 0::2, :, :]
    return turned
