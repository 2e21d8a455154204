"""Pictures: what is drawn stays inside, legible and apart."""

import cv2
import numpy as np
import pytest

from utils.reporting.drawing import (
    Rect,
    class_color,
    draw_persons,
    drawing_sizes,
    place_block,
    short_names,
)
from utils.reporting.persons import Person

NAMES = ["stand", "talk to", "carry/hold", "watch (a person)"]
GREY = 90


def grey(height: int = 240, width: int = 426) -> np.ndarray:
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def changed(image: np.ndarray) -> np.ndarray:
    return (image != GREY).any(axis=2)


def test_nobody_leaves_the_image_as_it_is() -> None:
    image = grey()
    drawn = draw_persons(image, [], NAMES)
    assert np.array_equal(drawn, image)
    assert drawn is not image


def test_the_image_given_is_not_changed() -> None:
    image = grey()
    draw_persons(image, [Person((50, 80, 120, 200), [(0, 0.9)])], NAMES)
    assert not changed(image).any()


def test_only_the_outline_and_the_chips_are_drawn() -> None:
    drawn = changed(draw_persons(grey(), [Person((50, 80, 120, 200), [(0, 0.9)])], NAMES))
    assert drawn[140, 50]
    assert not drawn[90:190, 60:110].any()  # inside the box
    assert drawn[:80].any()  # the chip above it
    assert not drawn[:50].any()
    assert not drawn[210:].any()


def test_an_annotation_has_no_score() -> None:
    def chip(*scores: float, with_scores: bool) -> list[np.ndarray]:
        persons = [[Person((50, 80, 120, 200), [(0, score)])] for score in scores]
        return [draw_persons(grey(), p, NAMES, with_scores=with_scores)[:70] for p in persons]

    full, half = chip(1.0, 0.99, with_scores=True)
    assert not np.array_equal(full, half)  # the digits
    plain = chip(1.0, with_scores=False)[0]
    assert changed(plain).any(axis=0).sum() < changed(full).any(axis=0).sum()  # no room for digits


def test_the_box_has_the_colour_of_its_best_label() -> None:
    drawn = draw_persons(grey(), [Person((50, 80, 120, 200), [(2, 0.9), (1, 0.5)])], NAMES)
    assert tuple(drawn[200, 80].tolist()) == class_color(2)


def test_colours_differ_between_classes() -> None:
    colors = np.array([class_color(label) for label in range(12)])
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=2)
    assert distances[~np.eye(12, dtype=bool)].min() > 40


@pytest.mark.parametrize(("height", "width"), [(240, 426), (720, 1280), (64, 64), (8, 8)])
def test_any_image_size_and_any_box_can_be_drawn(height: int, width: int) -> None:
    labels = [(i % 4, 1 - i / 40) for i in range(40)]
    boxes = [
        (-50.0, -50.0, width + 50.0, height + 50.0),
        (width - 1.0, height - 1.0, width + 9.0, height + 9.0),
        (3.0, 3.0, 3.0, 3.0),
    ]
    drawn = draw_persons(grey(height, width), [Person(b, labels) for b in boxes], NAMES)
    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8


@pytest.mark.parametrize("y", [0, 100, 200])
@pytest.mark.parametrize("x", [0, 200, 390])
def test_blocks_stay_inside_the_image(x: int, y: int) -> None:
    block = place_block((48, 90), Rect(x, y, 36, 40), [], [], 240, 426)
    assert block.x >= 0
    assert block.y >= 0
    assert block.x + block.width <= 426
    assert block.y + block.height <= 240


def test_a_block_stands_above_its_box_where_there_is_room() -> None:
    assert place_block((30, 80), Rect(100, 100, 50, 90), [], [], 240, 426) == Rect(100, 70, 80, 30)


def test_blocks_of_neighbours_do_not_cover_each_other() -> None:
    boxes = [Rect(100 + 15 * i, 100, 60, 120) for i in range(4)]
    placed: list[Rect] = []
    for i, box in enumerate(boxes):
        others = boxes[:i] + boxes[i + 1 :]
        placed.append(place_block((30, 90), box, others, placed, 240, 426))
    overlaps = [a.overlap(b) for i, a in enumerate(placed) for b in placed[:i]]
    assert overlaps == [0] * 6


def test_letters_are_as_high_as_asked_for() -> None:
    sizes = drawing_sizes(720, 1280)
    canvas = np.zeros((100, 100), dtype=np.uint8)
    cv2.putText(canvas, "H", (20, 70), cv2.FONT_HERSHEY_SIMPLEX, sizes.scale, 255, 1)
    assert abs(canvas.any(axis=1).sum() - sizes.letter) <= 1


def test_names_lose_their_brackets_unless_they_would_become_equal() -> None:
    names = ["talk to (e.g., self, a person)", "watch (a person)", "watch (e.g., TV)", "(odd)"]
    assert short_names(names) == ["talk to", "watch (a person)", "watch (e.g., TV)", "(odd)"]
