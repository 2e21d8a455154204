"""Augmentation: pixels and boxes go together, frames are treated alike, persons stay."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from data import augment
from data.augment import Augmentation, draw_color, draw_crop, draw_patches, draw_view
from data.transforms import (
    UNCHANGED,
    ColorChange,
    Crop,
    Patch,
    View,
    adjust_color,
    adjust_light,
    cover,
    crop_boxes,
    flip_boxes,
    flip_image,
    render,
    split_channels,
)
from utils.geometry.boxes import box_iou

RED = np.array([255, 0, 0], dtype=np.uint8)


def noise(frames: int = 3, height: int = 8, width: int = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def box_of_red(frame: np.ndarray) -> list[int]:
    """The box around all pixels of `[3, H, W]` that are more red than not."""
    y, x = np.nonzero(frame[0] > 127)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def block_clip(box: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
    """Two black frames with a red block at `box`."""
    clip = np.zeros((2, height, width, 3), dtype=np.uint8)
    clip[:, box[1] : box[3], box[0] : box[2]] = RED
    return clip


def test_flipping_twice_changes_nothing() -> None:
    image, boxes = noise()[0], np.array([[1.0, 2, 4, 7], [0, 0, 10, 8]])
    assert np.array_equal(flip_image(flip_image(image)), image)
    assert np.array_equal(flip_boxes(flip_boxes(boxes, 10), 10), boxes)
    assert not np.array_equal(flip_image(image), image)
    assert flip_boxes(boxes, 10).tolist() == [[6, 2, 9, 7], [0, 0, 10, 8]]


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("size", [60, 120, 30])
def test_a_block_of_pixels_follows_its_box(flipped: bool, size: int) -> None:
    """Crop 60 x 30 to a square; the block's borders stay within a pixel of its box's."""
    box = (40, 20, 70, 35)
    view = View(Crop(20, 10, 80, 40), size, flipped)
    clip = render(block_clip(box, 60, 100), 2, view)
    assert clip.shape == (2, 3, size, size)
    moved = view.boxes(np.array([box], dtype=np.float32))[0]
    for frame in clip:
        assert box_of_red(frame) == pytest.approx(moved.tolist(), abs=1)
    # x: (40 - 20, 70 - 20) of 60; mirrored (10, 40). y: (20 - 10, 35 - 10) of 30.
    x = (10, 40) if flipped else (20, 50)
    scale = size / 60
    assert moved == pytest.approx(np.array([x[0], 20, x[1], 50]) * scale)


def test_the_whole_image_at_its_own_size_is_left_as_it_is() -> None:
    clip = noise(height=8, width=8)
    view = View(Crop(0, 0, 8, 8), 8)
    assert np.array_equal(render(clip, 3, view), clip.transpose(0, 3, 1, 2))


def test_fewer_frames_than_a_clip_has_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        render(noise(frames=2), 3, View(Crop(0, 0, 8, 8), 8))


def test_boxes_are_clipped_to_the_crop() -> None:
    boxes = np.array([[0.0, 0, 50, 50], [30, 15, 100, 20]])
    assert crop_boxes(boxes, Crop(20, 10, 60, 40)).tolist() == [[0, 0, 30, 30], [10, 5, 40, 10]]


def test_neighbours_of_any_shape_follow_too() -> None:
    boxes = np.arange(48, dtype=np.float32).reshape(3, 2, 2, 4)
    view = View(Crop(0, 0, 50, 50), 100, flipped=True)
    assert view.boxes(boxes).shape == (3, 2, 2, 4)
    assert np.array_equal(view.boxes(boxes)[1, 0, 1], view.boxes(boxes[1, 0, 1]))


def test_a_person_is_in_view_if_its_centre_is() -> None:
    boxes = np.array([[0.0, 0, 39, 40], [0, 0, 42, 40], [0, 0, 42, 19]])
    assert View(Crop(20, 10, 60, 40), 1).holds(boxes).tolist() == [False, True, False]


def test_brightness_comes_before_contrast_and_both_saturate() -> None:
    image = np.array([0, 100, 250], dtype=np.uint8).reshape(1, 1, 3)
    assert adjust_light(image, brightness=20).ravel().tolist() == [20, 120, 255]
    assert adjust_light(image, contrast=1.5).ravel().tolist() == [0, 150, 255]
    # (0 + 20) * 0.5, (100 + 20) * 0.5, 255 * 0.5 = 127.5, rounded to even
    assert adjust_light(image, brightness=20, contrast=0.5).ravel().tolist() == [10, 60, 128]
    assert adjust_light(image, brightness=-20).ravel().tolist() == [0, 80, 230]


def test_no_change_of_light_changes_nothing() -> None:
    assert np.array_equal(adjust_light(noise()[0]), noise()[0])


def test_no_change_of_colour_moves_values_by_rounding_only() -> None:
    image = noise(height=50, width=150)[0]
    difference = adjust_color(image).astype(int) - image
    assert np.abs(difference).max() <= 8
    assert np.abs(difference).mean() < 1


def values_of(pixel: np.ndarray) -> list[int]:
    """Its three values as Python's integers, which do not wrap around."""
    return pixel.ravel().tolist()


def test_greys_have_neither_hue_nor_saturation() -> None:
    grey = np.repeat(noise()[0, ..., :1], 3, axis=-1)
    assert np.array_equal(adjust_color(grey, saturation=1.5, hue=18), grey)


def test_a_third_of_the_circle_turns_red_into_green_into_blue() -> None:
    red = np.array([200, 0, 0], dtype=np.uint8).reshape(1, 1, 3)
    # 120 degrees are 85.3 steps of 256: a remainder of a few levels.
    assert values_of(adjust_color(red, hue=120)) == pytest.approx([0, 200, 0], abs=5)
    assert values_of(adjust_color(red, hue=-120)) == pytest.approx([0, 0, 200], abs=5)


def test_saturation_moves_colours_towards_and_away_from_grey() -> None:
    pixel = np.array([200, 100, 100], dtype=np.uint8).reshape(1, 1, 3)
    assert values_of(adjust_color(pixel, saturation=0.5)) == pytest.approx([200, 150, 150], abs=2)
    assert values_of(adjust_color(pixel, saturation=1.5)) == pytest.approx([200, 50, 50], abs=2)


def test_saturation_ends_at_the_pure_colour() -> None:
    pixel = np.array([200, 10, 10], dtype=np.uint8).reshape(1, 1, 3)
    assert values_of(adjust_color(pixel, saturation=1.5)) == [200, 0, 0]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_channels_are_split_in_any_order(order: tuple[int, int, int]) -> None:
    """Into planes that are a part of a larger array, as those of a clip's frame are."""
    image, clip = noise()[0], np.zeros((3, 3, 8, 10), dtype=np.uint8)
    split_channels(image, clip[1], order)
    assert np.array_equal(clip[1], image[..., order].transpose(2, 0, 1))
    assert not clip[[0, 2]].any()


def test_what_is_not_changed_is_not_even_copied() -> None:
    image = noise()[0]
    assert UNCHANGED.paint(image) is image
    assert ColorChange(order=(2, 1, 0)).paint(image) is image
    assert ColorChange(contrast=1.2).paint(image) is not image


@pytest.mark.parametrize("seed", range(8))
def test_every_frame_is_rendered_alike_and_for_itself(seed: int) -> None:
    """The whole clip is its frames one by one: cut, painted, resized, mirrored, reordered."""
    clip, rng = noise(), np.random.default_rng(seed)
    color = draw_color(Augmentation(color=True), rng)
    crop = Crop(2, 1, 9, 7)
    flipped = seed % 2 == 1
    whole = render(iter(clip), 3, View(crop, 12, flipped), color)
    for frame, rendered in zip(clip, whole, strict=True):
        painted = color.paint(frame[1:7, 2:9].copy())
        resized = cv2.resize(painted, (12, 12))[..., color.order]
        expected = resized[:, ::-1] if flipped else resized
        assert np.array_equal(rendered.transpose(1, 2, 0), expected)
    assert np.array_equal(clip, noise())  # the given frames are left alone


def test_painting_before_or_after_resizing_differs_by_rounding() -> None:
    """On smooth images, as photographs are, for any colours that can be drawn."""
    image = cv2.resize(noise(height=6, width=8)[0], (80, 60), interpolation=cv2.INTER_CUBIC)
    for seed in range(8):
        color = draw_color(Augmentation(color=True), np.random.default_rng(seed))
        before = cv2.resize(color.paint(image), (100, 100)).astype(int)
        after = color.paint(cv2.resize(image, (100, 100))).astype(int)
        assert np.abs(before - after).mean() < 1


def test_colour_draws_stay_in_range_and_half_are_left_out() -> None:
    rng, on = np.random.default_rng(0), Augmentation(color=True)
    changes = [draw_color(on, rng) for _ in range(1000)]
    ranges = {
        "brightness": (-32, 32),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-18, 18),
    }
    for name, (low, high) in ranges.items():
        values = [getattr(change, name) for change in changes]
        drawn = [value for value in values if value != getattr(UNCHANGED, name)]
        # 500 expected, standard deviation 16.
        assert 430 < len(drawn) < 570
        assert low <= min(drawn) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(drawn) <= high
    # A sixth of the drawn orders is the one there was: 417 expected, standard deviation 16.
    assert 350 < sum(change.order != (0, 1, 2) for change in changes) < 480
    assert len({change.order for change in changes}) == 6


def test_what_is_drawn_comes_in_the_order_it_always_did() -> None:
    """A seed stands for the same augmentation as in the runs before: brightness to order."""
    rng, on = np.random.default_rng(4), Augmentation(color=True)
    expected = np.random.default_rng(4)
    change = draw_color(on, rng)
    for name, (low, high) in {
        "brightness": (-32, 32),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-18, 18),
    }.items():
        value = expected.uniform(low, high)
        drawn = expected.random() < 0.5
        assert getattr(change, name) == (value if drawn else getattr(UNCHANGED, name))
    order = tuple(expected.permutation(3)) if expected.random() < 0.5 else (0, 1, 2)
    assert change.order == order
    assert rng.random() == expected.random()


def iou_with(crop: Crop, boxes: np.ndarray) -> np.ndarray:
    patch = torch.tensor([[crop.x1, crop.y1, crop.x2, crop.y2]], dtype=torch.float64)
    return box_iou(patch, torch.from_numpy(boxes))[0].numpy()


@pytest.mark.parametrize("overlap", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_crop_overlaps_a_person_as_much_as_was_drawn(
    overlap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "CROP_OVERLAPS", (overlap,))
    boxes = np.array([[10.0, 10, 150, 90], [150, 60, 180, 95]])
    rng = np.random.default_rng(0)
    for _ in range(8):
        assert iou_with(draw_crop(boxes, 100, 200, rng), boxes).max() >= overlap


def test_crops_lie_in_the_image_and_keep_a_person() -> None:
    """Sides of 0.3 to 1, aspect 1/2 to 2, but for the whole image, which is 1 x 4 here."""
    boxes = np.array([[4.0, 4, 12, 12], [180, 30, 196, 46]])
    rng = np.random.default_rng(0)
    crops = [draw_crop(boxes, 50, 200, rng) for _ in range(150)]
    whole = Crop(0, 0, 200, 50)
    for crop in crops:
        assert 0 <= crop.x1 < crop.x2 <= 200
        assert 0 <= crop.y1 < crop.y2 <= 50
        assert View(crop, 1).holds(boxes).any()
        if crop != whole:
            assert 0.5 <= crop.height / crop.width <= 2
            assert crop.width >= 60
            assert crop.height >= 15
    assert whole in crops
    assert len(set(crops)) > 30
    assert any(not View(crop, 1).holds(boxes).all() for crop in crops)


def test_an_overlap_that_no_patch_has_gives_way_to_another() -> None:
    """A person of 2 x 2 pixels cannot overlap a patch by 0.1: every such draw is passed over."""
    rng = np.random.default_rng(0)
    boxes = np.array([[50.0, 50, 52, 52]])
    crops = [draw_crop(boxes, 100, 100, rng) for _ in range(30)]
    assert all(View(crop, 1).holds(boxes).all() for crop in crops)


def test_without_persons_nothing_is_cropped() -> None:
    crop = draw_crop(np.zeros((0, 4)), 30, 40, np.random.default_rng(0))
    assert crop == Crop(0, 0, 40, 30)


def test_a_view_without_augmentation_is_the_whole_image() -> None:
    rng = np.random.default_rng(0)
    view = draw_view(np.array([[0.0, 0, 9, 9]]), 30, 40, 16, Augmentation(), rng)
    assert view == View(Crop(0, 0, 40, 30), 16, flipped=False)


def test_half_of_all_clips_are_flipped() -> None:
    rng = np.random.default_rng(0)
    boxes, on = np.array([[0.0, 0, 9, 9]]), Augmentation(flip=True)
    views = [draw_view(boxes, 30, 40, 16, on, rng) for _ in range(400)]
    assert 160 < sum(view.flipped for view in views) < 240  # 200 expected, deviation 10


def test_patches_cover_the_same_place_of_every_frame_the_last_on_top() -> None:
    clip = noise().transpose(0, 3, 1, 2).copy()
    below = np.full((3, 2, 3), 9, dtype=np.uint8)
    above = np.broadcast_to(np.array([5, 6, 7], dtype=np.uint8), (2, 3, 3))
    covered = clip.copy()
    cover(covered, [Patch(3, 4, below), Patch(4, 5, above)])
    expected = clip.copy()
    expected[:, :, 4:7, 3:5] = 9  # 3 rows from y = 4, 2 columns from x = 3
    for channel, value in enumerate((5, 6, 7)):
        expected[:, channel, 5:7, 4:7] = value
    assert np.array_equal(covered, expected)


def test_what_is_erased_lies_in_a_person_and_has_the_right_size() -> None:
    """2 to 20 % of the box's area, aspect 0.3 to 10/3, both up to rounding to pixels."""
    box = np.array([[20.0, 10, 100, 90]])
    rng, on = np.random.default_rng(0), Augmentation(erase=True)
    drawn = [patch for _ in range(200) for patch in draw_patches(box, on, rng)]
    for patch in drawn:
        height, width = patch.pixels.shape[:2]
        assert 20 <= patch.x <= patch.x + width <= 100
        assert 10 <= patch.y <= patch.y + height <= 90
        assert 0.02 * 0.9 <= height * width / 6400 <= 0.2 * 1.1
        assert 0.3 * 0.85 <= height / width <= 10 / 3 * 1.15
    assert 70 < len(drawn) < 130  # 100 expected, deviation 7


def test_a_person_too_small_to_erase_from_is_left() -> None:
    tiny = np.array([[3.2, 3.2, 3.8, 3.8]] * 20)
    assert draw_patches(tiny, Augmentation(erase=True), np.random.default_rng(0)) == []


def test_nothing_is_drawn_unless_asked_for() -> None:
    rng, off = np.random.default_rng(0), Augmentation(crop=True, flip=True)
    assert draw_color(off, rng) is UNCHANGED
    assert draw_patches(np.array([[0.0, 0, 10, 8]] * 20), off, rng) == []
    assert rng.random() == np.random.default_rng(0).random()
