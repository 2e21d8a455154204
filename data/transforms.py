"""Augmentation of a clip, its boxes following (spec section 7), and resizing.

Clips are RGB uint8 `[F, H, W, 3]`, every frame treated alike. Boxes are float `[..., 4]`,
`(x1, y1, x2, y2)` in pixels of the clip they come with. The functions below do as they are told;
what is drawn at random, and from which range, is in `data/augment.py`.
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

    def clip(self, frames: Iterable[np.ndarray]) -> np.ndarray:
        """Frames `[H, W, 3]` to `[F, size, size, 3]`, bilinearly, the aspect not kept.

        They are consumed one by one, so only the result is held; cutting comes first, so only
        pixels that stay are resized.
        """
        y, x = slice(self.crop.y1, self.crop.y2), slice(self.crop.x1, self.crop.x2)
        clip = np.stack([resize_frame(frame[y, x], self.size) for frame in frames])
        return flip_clip(clip) if self.flipped else clip

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


def flip_clip(clip: np.ndarray) -> np.ndarray:
    """Mirror every frame left to right. Its own inverse."""
    return cv2.flip(_as_image(clip), 1).reshape(clip.shape)


def flip_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """Mirror boxes left to right in an image of `width` pixels. Its own inverse."""
    flipped = boxes.copy()
    flipped[..., 0] = width - boxes[..., 2]
    flipped[..., 2] = width - boxes[..., 0]
    return flipped


def adjust_light(clip: np.ndarray, brightness: float = 0.0, contrast: float = 1.0) -> np.ndarray:
    """`contrast * (x + brightness)` of every value, each step clipped to [0, 255]."""
    values = np.clip(np.arange(256) + brightness, 0, 255)
    return _look_up(clip, np.clip(np.rint(values * contrast), 0, 255))


def adjust_color(clip: np.ndarray, saturation: float = 1.0, hue: float = 0.0) -> np.ndarray:
    """Scale the saturation and turn the hue by `hue` degrees, in HSV. Greys stay as they are.

    Hue and saturation are held in 8 bits each, so a colour moves by a few levels even if nothing is
    changed.
    """
    values = np.arange(256)
    table = np.empty((256, 3))
    table[:, 0] = (values + round(hue * 256 / 360)) % 256
    table[:, 1] = np.clip(np.rint(values * saturation), 0, 255)
    table[:, 2] = values
    hsv = cv2.cvtColor(_as_image(clip), cv2.COLOR_RGB2HSV_FULL)
    turned = _look_up(hsv, table)
    return cv2.cvtColor(turned, cv2.COLOR_HSV2RGB_FULL).reshape(clip.shape)


def reorder_channels(clip: np.ndarray, order: tuple[int, int, int]) -> np.ndarray:
    """Channel c of the result is channel `order[c]` of `clip`."""
    image = _as_image(clip)
    reordered = np.empty_like(image)
    cv2.mixChannels([image], [reordered], [n for c in range(3) for n in (order[c], c)])
    return reordered.reshape(clip.shape)


def erase(clip: np.ndarray, patch: np.ndarray, x: int, y: int) -> np.ndarray:
    """Cover the same place of every frame with `patch` `[h, w, 3]`, its corner at `(x, y)`."""
    erased = clip.copy()
    erased[:, y : y + patch.shape[0], x : x + patch.shape[1]] = patch
    return erased


def _look_up(clip: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each value by its entry in `table` `[256]`, or `[256, 3]` with one per channel."""
    table = table.astype(np.uint8).reshape(256, 1, -1)
    return cv2.LUT(_as_image(clip), table).reshape(clip.shape)


def _as_image(clip: np.ndarray) -> np.ndarray:
    """The frames of a clip below each other, so that OpenCV takes them all in one call."""
    return np.ascontiguousarray(clip).reshape(-1, clip.shape[-2], clip.shape[-1])
