"""Augmentation of a clip and its boxes (docs/method.md, "Augmentation"), and resizing.

Images are RGB uint8 `[H, W, 3]` as they are read; a clip, for the network, is `[F, 3, S, S]`. Every
frame is treated alike. Boxes are float `[..., 4]`, `(x1, y1, x2, y2)` in pixels of the images they
come with. The functions below do as they are told; what is drawn at random, and from which range,
is in `data/augment.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole pixels, `x1 <= x < x2`, `y1 <= y < y2`."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def height(self) -> int:
        return self.y2 - self.y1

    @property
    def width(self) -> int:
        return self.x2 - self.x1


@dataclass(frozen=True)
class View:
    """What a clip shows of its images: `crop`, stretched to a square of `size`, maybe mirrored.

    The same for all frames, and for their boxes.
    """

    crop: Crop
    size: int
    flipped: bool = False

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part of `[H, W, 3]` that is seen, `[h, w, 3]`, without copying it."""
        return image[self.crop.y1 : self.crop.y2, self.crop.x1 : self.crop.x2]

    def stretch(self, image: np.ndarray) -> np.ndarray:
        """What `cut` gives to `[size, size, 3]`, bilinearly, the aspect not kept."""
        return resize_frame(flip_image(image) if self.flipped else image, self.size)

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes `[..., 4]` in pixels of the images to pixels of the clip, clipped to it."""
        cropped = crop_boxes(boxes, self.crop)
        scaled = stretch_boxes(cropped, self.crop.height, self.crop.width, self.size)
        return flip_boxes(scaled, self.size) if self.flipped else scaled

    def holds(self, boxes: np.ndarray) -> np.ndarray:
        """Which boxes `[..., 4]` (pixels of the images) have their centre in view: bool `[...]`."""
        x = (boxes[..., 0] + boxes[..., 2]) / 2
        y = (boxes[..., 1] + boxes[..., 3]) / 2
        crop = self.crop
        return (x > crop.x1) & (x < crop.x2) & (y > crop.y1) & (y < crop.y2)


@dataclass(frozen=True)
class ColorChange:
    """What happens to the colours of a clip; by default nothing.

    Attributes:
        brightness: Levels that are added.
        contrast: Factor on the sum.
        saturation: Factor.
        hue: Degrees.
        order: Channel c of the result is channel `order[c]`.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    order: tuple[int, int, int] = (0, 1, 2)

    def paint(self, image: np.ndarray) -> np.ndarray:
        """All but the order of channels, on `[H, W, 3]`. What does not change costs nothing."""
        if (self.brightness, self.contrast) != (0.0, 1.0):
            image = adjust_light(image, self.brightness, self.contrast)
        if (self.saturation, self.hue) != (1.0, 0.0):
            image = adjust_color(image, self.saturation, self.hue)
        return image


@dataclass(frozen=True)
class Patch:
    """Pixels `[h, w, 3]` that cover a part of a clip, their corner at `(x, y)`."""

    x: int
    y: int
    pixels: np.ndarray


UNCHANGED = ColorChange()


def render(
    frames: Iterable[np.ndarray], count: int, view: View, color: ColorChange = UNCHANGED
) -> np.ndarray:
    """The `count` frames `[H, W, 3]` as `view` shows them, recoloured: uint8 `[F, 3, size, size]`.

    A frame goes all the way before the next is asked for, so it stays in the cache and only the
    result is held. Cutting comes first, so that nothing is done to pixels that are not seen, and
    colours before resizing (as in SSD), since the average crop has fewer pixels than the result.
    """
    clip = np.empty((count, 3, view.size, view.size), dtype=np.uint8)
    for planes, frame in zip(clip, frames, strict=True):
        image = view.stretch(color.paint(view.cut(frame)))
        split_channels(image, planes, color.order)
    return clip


def split_channels(image: np.ndarray, planes: np.ndarray, order: tuple[int, int, int]) -> None:
    """Write channel `order[c]` of `[H, W, 3]` to plane c of `planes` `[3, H, W]`."""
    # OpenCV writes into the arrays that it is given, several times as fast as NumPy transposes.
    cv2.split(image, [planes[order.index(channel)] for channel in range(3)])


def resize_frame(frame: np.ndarray, size: int) -> np.ndarray:
    """Stretch `[H, W, 3]` to `[size, size, 3]`, bilinearly, the aspect not kept."""
    if frame.shape[:2] == (size, size):
        return frame
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_LINEAR)


def stretch_boxes(boxes: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """Boxes of a `height x width` image after it is stretched to `size x size`."""
    return boxes * np.array([size / width, size / height] * 2, dtype=boxes.dtype)


def crop_boxes(boxes: np.ndarray, crop: Crop) -> np.ndarray:
    """Boxes in the coordinates of `crop`, clipped to it."""
    moved = boxes - np.array([crop.x1, crop.y1] * 2, dtype=boxes.dtype)
    return np.clip(moved, 0, np.array([crop.width, crop.height] * 2, dtype=boxes.dtype))


def flip_image(image: np.ndarray) -> np.ndarray:
    """Mirror `[H, W, 3]` left to right. Its own inverse."""
    return cv2.flip(image, 1)


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Mirror boxes left to right in an image of `width` pixels. Its own inverse."""
    flipped = boxes.copy()
    flipped[..., 0] = width - boxes[..., 2]
    flipped[..., 2] = width - boxes[..., 0]
    return flipped


def adjust_light(image: np.ndarray, brightness: float = 0.0, contrast: float = 1.0) -> np.ndarray:
    """`contrast * (x + brightness)` of every value, each step clipped to [0, 255]."""
    values = np.clip(np.arange(256) + brightness, 0, 255)
    return cv2.LUT(image, _table(values * contrast))


def adjust_color(image: np.ndarray, saturation: float = 1.0, hue: float = 0.0) -> np.ndarray:
    """Scale the saturation and turn the hue by `hue` degrees, in HSV. Greys stay as they are.

    Hue and saturation are held in 8 bits each, so a colour moves by a few levels even if nothing is
    changed.
    """
    h, s, v = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL))
    h += np.uint8(round(hue * 256 / 360) % 256)  # past 255 it starts again, as hues do
    s = cv2.LUT(s, _table(np.arange(256) * saturation))
    return cv2.cvtColor(cv2.merge((h, s, v)), cv2.COLOR_HSV2RGB_FULL)


def cover(clip: np.ndarray, patches: Iterable[Patch]) -> None:
    """Put patches on the same place of every frame of `[F, 3, H, W]`, in place and in turn."""
    for patch in patches:
        height, width = patch.pixels.shape[:2]
        rows, columns = slice(patch.y, patch.y + height), slice(patch.x, patch.x + width)
        clip[:, :, rows, columns] = patch.pixels.transpose(2, 0, 1)


def _table(values: np.ndarray) -> np.ndarray:
    """What `cv2.LUT` replaces 0 to 255 by: `values` `[256]` as the nearest uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
