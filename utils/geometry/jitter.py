"""Proposals of the *cls* stage: jittered annotated boxes, and boxes on the background.

docs/method.md, "Sampling and targets". Letters: G annotated boxes, P proposals.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.geometry.boxes import box_iou, clip_boxes

# A positive's size and centre move by at most this share of the box's width and height.
MAX_CHANGE = 0.2
MIN_OWN_IOU = 0.75
MAX_OTHER_IOU = 0.2
NEGATIVES_PER_BOX = 3
TRIALS = 50


def jitter_boxes(
    boxes: Tensor, height: int, width: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw proposals around the persons `boxes` `[G, 4]`, pixels of a `height x width` image.

    Returns:
        Boxes `[P, 4]` inside the image and owners `[P]` int64. First come the G positives,
        `owner[i] = i`: size and centre within 20 %, IoU > 0.75 with the own box and < 0.2 with
        every other; the box itself if 50 draws find none. Then up to 3 negatives per box, owner -1:
        the size of the box within 20 %, anywhere in the image, IoU < 0.2 with every box; fewer
        where 50 draws find fewer. No boxes give no proposals.
    """
    positives = [_draw_positive(boxes, i, height, width, generator) for i in range(len(boxes))]
    negatives = [_draw_negatives(boxes, i, height, width, generator) for i in range(len(boxes))]
    count = sum(len(drawn) for drawn in negatives)
    owners = torch.cat([torch.arange(len(boxes)), torch.full((count,), -1)])
    return torch.cat([boxes.new_zeros(0, 4), *positives, *negatives]), owners.to(boxes.device)


def _draw_positive(
    boxes: Tensor, own: int, height: int, width: int, generator: torch.Generator
) -> Tensor:
    """One jittered copy of `boxes[own]`: `[1, 4]`."""
    centers, sizes = _draw_sizes(boxes[own], generator)
    shifts = _uniform((TRIALS, 2), boxes, generator) * MAX_CHANGE
    drawn = _assemble(centers + shifts * (boxes[own, 2:] - boxes[own, :2]), sizes)
    drawn = clip_boxes(drawn, height, width)
    overlaps = box_iou(drawn, boxes)
    fits = overlaps[:, own] > MIN_OWN_IOU
    overlaps[:, own] = 0
    fits &= (overlaps < MAX_OTHER_IOU).all(dim=1)
    return torch.cat([drawn[fits], boxes[own : own + 1]])[:1]


def _draw_negatives(
    boxes: Tensor, own: int, height: int, width: int, generator: torch.Generator
) -> Tensor:
    """Up to three boxes of about the size of `boxes[own]` on the background: `[0..3, 4]`."""
    _, sizes = _draw_sizes(boxes[own], generator)
    image = boxes.new_tensor([width, height])
    sizes = torch.minimum(sizes, image)
    places = (_uniform((TRIALS, 2), boxes, generator) + 1) / 2
    drawn = _assemble(sizes / 2 + places * (image - sizes), sizes)
    fits = (box_iou(drawn, boxes) < MAX_OTHER_IOU).all(dim=1)
    return clip_boxes(drawn[fits][:NEGATIVES_PER_BOX], height, width)


def _draw_sizes(box: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The centre of `box`, `[2]`, and `TRIALS` sizes within 20 % of its own, `[TRIALS, 2]`."""
    factors = 1 + _uniform((TRIALS, 2), box, generator) * MAX_CHANGE
    return (box[:2] + box[2:]) / 2, factors * (box[2:] - box[:2])


def _uniform(shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in [-1, 1), drawn where the generator lives, on the device of `like`."""
    drawn = torch.rand(shape, generator=generator, device=generator.device) * 2 - 1
    return drawn.to(like.device, like.dtype)


def _assemble(centers: Tensor, sizes: Tensor) -> Tensor:
    return torch.cat([centers - sizes / 2, centers + sizes / 2], dim=-1)
