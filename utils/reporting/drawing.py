"""Pictures of detections: a box for each person, a chip for each label, filled up to its score.

Images are RGB uint8 `[H, W, 3]`, boxes `(x1, y1, x2, y2)` in their pixels.
"""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from utils.reporting.persons import Person

FONT = cv2.FONT_HERSHEY_SIMPLEX
# Height of a capital letter as a share of the image's shorter side, and in pixels.
LETTER_SHARE = 0.021
LETTER_LEAST, LETTER_MOST = 8, 40
LINE_SHARE, LINE_LEAST = 1 / 270, 2
# Opacity of a chip, and brightness of its filled part: white text stays legible on every picture
# and on every class's colour.
CHIP_OPACITY = 0.86
FILL_BRIGHTNESS = 0.55
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Successive hues a golden section of the circle apart: any few classes in a row differ well.
HUE_STEP = 0.618034

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Rect:
    """A rectangle of whole pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlap(self, other: Rect) -> int:
        """Shared area in square pixels."""
        w = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        h = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(w, 0) * max(h, 0)


@dataclass(frozen=True)
class Sizes:
    """Sizes of what is drawn, which follow from the image's.

    Attributes:
        scale: Of the text, for OpenCV.
        letter, line, pad: Height of a capital letter, width of a line, and room around a text, in
            pixels.
    """

    scale: float
    letter: int
    line: int
    pad: int

    @property
    def row(self) -> int:
        """Height of a chip."""
        return self.letter + 2 * self.pad

    def text_width(self, text: str) -> int:
        return cv2.getTextSize(text, FONT, self.scale, 1)[0][0]


def draw_persons(
    image: np.ndarray, persons: Sequence[Person], names: Sequence[str], with_scores: bool = True
) -> np.ndarray:
    """A copy of `image` with every person's box and labels.

    Args:
        with_scores: Whether a label's score stands behind its name. An annotation has none.
        names: Of the classes, by number from 0. A class has the same colour in every picture; a box
            has the colour of the person's best label. Chips stay inside the image and, where there
            is room, clear of each other and of the persons.
    """
    image = np.ascontiguousarray(image).copy()
    height, width = image.shape[:2]
    sizes = drawing_sizes(height, width)
    for person in reversed(persons):  # the best score last, on top
        _draw_box(image, person, sizes)
    boxes = [_rect(person) for person in persons]
    blocks: list[Rect] = [_draw_number(image, person, sizes) for person in persons if person.number]
    for i, person in enumerate(persons):
        rows = _fit_rows(person.labels, names, sizes, (height, width), with_scores)
        size = (sizes.row * len(rows), max((w for _, w in rows), default=0))
        others = [box for j, box in enumerate(boxes) if j != i]
        blocks.append(place_block(size, boxes[i], others, blocks, height, width))
        for r, ((label, score), (text, _)) in enumerate(zip(person.labels, rows, strict=False)):
            chip = Rect(blocks[-1].x, blocks[-1].y + r * sizes.row, size[1], sizes.row)
            draw_chip(image, chip, text, score, class_color(label), sizes, with_scores)
    return image


def class_color(label: int) -> Color:
    """The colour of class `label`, RGB, the same in every picture."""
    r, g, b = colorsys.hsv_to_rgb((0.04 + label * HUE_STEP) % 1, 0.72, 1.0)
    return round(255 * r), round(255 * g), round(255 * b)


def short_names(names: Sequence[str]) -> list[str]:
    """Names without what stands in brackets, `talk to (e.g., self, a person)`, if they stay unique.

    AVA's names are sentences; two that would become the same keep their brackets.
    """
    short = [re.sub(r"\s*\([^)]*\)", "", name).strip() or name for name in names]
    counts = Counter(short)
    return [s if counts[s] == 1 else name for s, name in zip(short, names, strict=True)]


def drawing_sizes(height: int, width: int) -> Sizes:
    """Text and lines that look alike in small and large images."""
    side = min(height, width)
    letter = min(max(round(LETTER_SHARE * side), LETTER_LEAST), LETTER_MOST)
    line = max(LINE_LEAST, round(side * LINE_SHARE))
    return Sizes(letter / _capital_height(), letter, line, max(2, round(letter / 3)))


@cache
def _capital_height() -> float:
    """Pixels from foot to top of an H at text scale 1, as drawn.

    Measured in ink: OpenCV 5 has another font than OpenCV 4, and reports other heights.
    """
    scale, canvas = 8.0, np.zeros((400, 400), dtype=np.uint8)
    cv2.putText(canvas, "H", (50, 350), FONT, scale, 255, 1)
    return len(np.flatnonzero(canvas.any(axis=1))) / scale


def place_block(
    size: tuple[int, int],
    box: Rect,
    others: Sequence[Rect],
    placed: Sequence[Rect],
    height: int,
    width: int,
) -> Rect:
    """Where a block of chips `size` (height, width) of the person at `box` goes.

    Chooses, of the places at the box, the one that hides least. Hidden chips (`placed`) weigh most,
    then other persons (`others`), then the person itself. The block lies inside the image
    `height x width` unless it is larger than the image.
    """
    h, w = size
    places = [
        (box.x, box.y - h),  # above
        (box.x, box.y + box.height),  # below
        (box.x + box.width - w, box.y - h),  # above, flush right
        (box.x + box.width, box.y),  # to the right
        (box.x - w, box.y),  # to the left
        (box.x, box.y),  # inside
        (box.x + box.width - w, box.y),
        (box.x, box.y + box.height - h),
        (box.x + box.width - w, box.y + box.height - h),
    ]
    at_box = len(places)
    # In a crowd, down the image's sides: away from the person, but legible.
    places += [(x, y) for x in (0, width - w) for y in range(0, max(height - h, 0) + 1, max(h, 1))]
    best, least = Rect(0, 0, w, h), float("inf")
    for preference, (x, y) in enumerate(places):
        rect = Rect(min(max(x, 0), max(width - w, 0)), min(max(y, 0), max(height - h, 0)), w, h)
        hidden = 20 * sum(map(rect.overlap, placed)) + 3 * sum(map(rect.overlap, others))
        remote = 0.02 * preference if preference < at_box else 5
        cost = hidden + rect.overlap(box) + remote * w * h
        if cost < least:
            best, least = rect, cost
    return best


def _rect(person: Person) -> Rect:
    x1, y1, x2, y2 = (round(value) for value in person.box)
    return Rect(x1, y1, x2 - x1, y2 - y1)


def _draw_box(image: np.ndarray, person: Person, sizes: Sizes) -> None:
    """The outline in the best label's colour, between dark lines that show on bright ground."""
    x1, y1, x2, y2 = (round(value) for value in person.box)
    inset = sizes.line // 2 + 1  # a box at the border stays visible
    height, width = image.shape[:2]
    x1, y1 = max(x1, inset), max(y1, inset)
    x2, y2 = min(x2, width - 1 - inset), min(y2, height - 1 - inset)
    color = class_color(person.labels[0][0]) if person.labels else WHITE
    cv2.rectangle(image, (x1, y1), (x2, y2), BLACK, sizes.line + 2)
    cv2.rectangle(image, (x1, y1), (x2, y2), color, sizes.line)


def _draw_number(image: np.ndarray, person: Person, sizes: Sizes) -> Rect:
    """The person's number on a dark tag in the top left corner of its box; returns the tag."""
    text, box = str(person.number), _rect(person)
    tag = Rect(max(box.x, 0), max(box.y, 0), sizes.text_width(text) + 3 * sizes.pad, sizes.row)
    area = image[tag.y : tag.y + tag.height, tag.x : tag.x + tag.width]
    area[:] = area // 5
    at = (tag.x + sizes.pad + sizes.pad // 2, tag.y + sizes.pad + sizes.letter)
    thickness = 2 if sizes.letter >= 24 else 1
    cv2.putText(image, text, at, FONT, sizes.scale, WHITE, thickness, cv2.LINE_AA)
    return tag


def _fit_rows(
    labels: Sequence[tuple[int, float]],
    names: Sequence[str],
    sizes: Sizes,
    size: tuple[int, int],
    with_scores: bool,
) -> list[tuple[str, int]]:
    """Text and chip width of the labels that fit into an image (H, W); long names are cut."""
    height, width = size
    edges = 5 * sizes.pad + sizes.text_width("0.00") if with_scores else 4 * sizes.pad
    rows = []
    for label, _ in labels[: max(height // sizes.row, 1)]:
        name = names[label]
        while len(name) > 1 and sizes.text_width(name) + edges > width:
            name = name.rstrip(".")[:-1] + "..." if len(name) > 4 else name[:-1]
        rows.append((name, sizes.text_width(name) + edges))
    return rows


def draw_chip(
    image: np.ndarray,
    chip: Rect,
    text: str,
    score: float,
    color: Color,
    sizes: Sizes,
    with_score: bool = True,
) -> None:
    """A dark chip, filled from the left up to its score: name on the left, score on the right.

    Args:
        with_score: Whether the score is written.
    """
    area = image[max(chip.y, 0) : chip.y + chip.height, max(chip.x, 0) : chip.x + chip.width]
    if not area.size:
        return
    ground = np.full(area.shape, 20.0)
    filled = round(area.shape[1] * min(max(score, 0.0), 1.0))
    ground[:, :filled] = np.array(color) * FILL_BRIGHTNESS
    area[:] = np.rint((1 - CHIP_OPACITY) * area + CHIP_OPACITY * ground).astype(np.uint8)
    area[:, : max(2, sizes.line)] = color
    area[-1] = area[-1] // 2  # a line between chips
    baseline = chip.y + sizes.pad + sizes.letter
    number = f"{score:.2f}" if with_score else ""
    right = chip.x + chip.width - sizes.pad - sizes.text_width(number)
    for words, x in ((text, chip.x + 2 * sizes.pad), (number, right)):
        thickness = 2 if sizes.letter >= 24 else 1
        cv2.putText(image, words, (x, baseline), FONT, sizes.scale, WHITE, thickness, cv2.LINE_AA)
