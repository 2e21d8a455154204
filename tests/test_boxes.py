"""Box coding, overlap and validity, by worked examples and laws."""

import math

import pytest
import torch
import torchvision

from tests.helpers import random_boxes
from utils.geometry.boxes import (
    box_iou,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    make_valid,
    normalize_boxes,
    scale_boxes,
)


def test_encoding_by_hand():
    # Reference: w = 19 - 10 + 1 = 10, h = 49 - 30 + 1 = 20, centre (15, 40).
    # Box: w = 34 - 15 + 1 = 20, h = 44 - 35 + 1 = 10, centre (25, 40).
    deltas = encode_boxes(torch.tensor([15.0, 35, 34, 44]), torch.tensor([10.0, 30, 19, 49]))
    expected = [(25 - 15) / 10, 0.0, math.log(20 / 10), math.log(10 / 20)]
    assert deltas.tolist() == pytest.approx(expected)


def test_decoding_inverts_encoding():
    boxes, references = random_boxes(50, seed=1).double(), random_boxes(50, seed=2).double()
    assert torch.allclose(decode_boxes(encode_boxes(boxes, references), references), boxes)


def test_decoding_stays_in_float32_under_half_precision():
    assert decode_boxes(torch.zeros(1, 4).half(), random_boxes(1)).dtype == torch.float32


def test_iou_agrees_with_torchvision():
    a, b = random_boxes(30, seed=1), random_boxes(40, seed=2)
    assert torch.allclose(box_iou(a, b), torchvision.ops.box_iou(a, b))


def test_iou_by_hand_is_symmetric_and_one_with_itself():
    # 10 x 10 and 10 x 10 share 5 x 10: 50 / (100 + 100 - 50) = 1/3.
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10]])
    iou = box_iou(boxes, boxes)
    assert torch.allclose(iou, torch.tensor([[1.0, 1 / 3], [1 / 3, 1.0]]))


def test_iou_of_boxes_without_area_is_zero():
    points = torch.tensor([[5.0, 5, 5, 5]])
    assert box_iou(points, points).item() == 0.0


def test_clipping_knows_height_from_width():
    clipped = clip_boxes(torch.tensor([[-5.0, -5, 500, 500]]), height=100, width=200)
    assert clipped.tolist() == [[0, 0, 200, 100]]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 10, 12, 50], [0, 0, 200, 100]),  # 2 px wide: nothing left to refine
        ([10, 10, 50, 12], [0, 0, 200, 100]),  # 2 px high
        ([10, 10, 12.5, 50], [10, 10, 12.5, 50]),  # 2.5 px is enough
        ([-30, 10, 1, 50], [0, 0, 200, 100]),  # 1 px wide once clipped
        ([150, 40, 130, 90], [0, 0, 200, 100]),  # inverted
        ([-30, -5, 40, 90], [0, 0, 40, 90]),
    ],
)
def test_small_boxes_become_the_whole_image(box, expected):
    assert make_valid(torch.tensor([box]).float(), 100, 200).tolist() == [expected]


def test_validity_is_decided_frame_by_frame():
    tube = torch.tensor([[[10.0, 10, 11, 50], [10, 10, 60, 50]]])
    assert make_valid(tube, 100, 200).tolist() == [[[0, 0, 200, 100], [10, 10, 60, 50]]]


def test_normalizing_undoes_scaling():
    boxes = torch.tensor([[0.1, 0.2, 0.5, 1.0]])
    assert scale_boxes(boxes, height=100, width=200).tolist() == [[20.0, 20.0, 100.0, 100.0]]
    assert torch.allclose(normalize_boxes(scale_boxes(boxes, 100, 200), 100, 200), boxes)
