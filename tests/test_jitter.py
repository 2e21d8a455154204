"""Jittered ground truth: the classification stage's proposals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from utils.geometry.boxes import box_iou
from utils.geometry.jitter import jitter_boxes

HEIGHT, WIDTH = 120, 200
TWO = torch.tensor([[20.0, 20, 60, 100], [120, 30, 170, 110]])


def draw(boxes: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return jitter_boxes(boxes, HEIGHT, WIDTH, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(20))
def test_positives_stay_near_their_box_and_negatives_off_all(seed: int) -> None:
    proposals, owners = draw(TWO, seed)
    assert owners.tolist() == [0, 1] + [-1] * (len(owners) - 2)
    assert owners.dtype == torch.int64
    overlaps = box_iou(proposals, TWO)
    for positive in range(2):
        assert overlaps[positive, positive] > 0.75
        assert overlaps[positive, 1 - positive] < 0.2
    assert len(proposals) <= 2 + 2 * 3
    assert (overlaps[2:] < 0.2).all()


@pytest.mark.parametrize("seed", range(20))
def test_sizes_and_centres_change_by_at_most_a_fifth(seed: int) -> None:
    proposals, _ = draw(TWO, seed)
    sizes, drawn = TWO[:, 2:] - TWO[:, :2], proposals[:2, 2:] - proposals[:2, :2]
    shifts = (proposals[:2, 2:] + proposals[:2, :2] - TWO[:, 2:] - TWO[:, :2]) / 2
    # Both boxes lie at least a fifth of their size inside the image: nothing is clipped.
    assert ((drawn / sizes - 1).abs() <= 0.2 + 1e-5).all()
    assert (shifts.abs() <= 0.2 * sizes + 1e-4).all()
    for size in proposals[2:, 2:] - proposals[2:, :2]:
        assert ((size / sizes - 1).abs() <= 0.2 + 1e-5).all(dim=1).any()


@pytest.mark.parametrize("seed", range(5))
def test_proposals_lie_inside_the_image(seed: int) -> None:
    corner = torch.tensor([[0.0, 0, 50, 60], [160, 70, 200, 120]])
    proposals, _ = draw(corner, seed)
    assert (proposals >= 0).all()
    assert (proposals <= torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])).all()
    assert (proposals[:, 2:] > proposals[:, :2]).all()


def test_a_positive_is_jittered_not_copied() -> None:
    assert not torch.equal(draw(TWO, 0)[0][:2], TWO)


def test_a_box_that_no_draw_can_leave_alone_is_its_own_positive() -> None:
    """Two persons with an IoU of 0.8: near one is near the other."""
    close = torch.tensor([[20.0, 20, 60, 100], [20, 20, 60, 84]])
    assert box_iou(close, close)[0, 1] == pytest.approx(0.8)
    proposals, _ = draw(close, 0)
    assert torch.equal(proposals[:2], close)


def test_a_person_that_fills_the_image_leaves_no_background() -> None:
    _, owners = draw(torch.tensor([[0.0, 0, WIDTH, HEIGHT]]), 0)
    assert owners.tolist() == [0]


def test_a_small_person_has_three_negatives() -> None:
    _, owners = draw(torch.tensor([[20.0, 20, 30, 40]]), 0)
    assert owners.tolist() == [0, -1, -1, -1]


def test_no_persons_give_no_proposals() -> None:
    proposals, owners = draw(torch.zeros(0, 4), 0)
    assert proposals.shape == (0, 4)
    assert owners.shape == (0,)
    assert owners.dtype == torch.int64


def test_the_generator_alone_decides() -> None:
    assert torch.equal(draw(TWO, 3)[0], draw(TWO, 3)[0])
    assert not torch.equal(draw(TWO, 3)[0][:2], draw(TWO, 4)[0][:2])
