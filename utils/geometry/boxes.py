"""Boxes: coding, overlap, clipping. Float `(x1, y1, x2, y2)` in pixels, width = x2 - x1.

docs/method.md, "Boxes". Letters: N, M boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

# A clipped box at most this wide or high covers too few pixels to be refined (docs/method.md,
# "Boxes").
MIN_SIDE = 2.0


def _centers_and_sizes(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Fast R-CNN's inclusive-pixel size `x2 - x1 + 1` and the centre `x1 + size / 2`.

    The one place with a "+1": released weights regress against it.
    """
    sizes = boxes[..., 2:] - boxes[..., :2] + 1.0
    return boxes[..., :2] + 0.5 * sizes, sizes


def encode_boxes(boxes: Tensor, references: Tensor) -> Tensor:
    """Code `boxes` against `references`, both `[..., 4]` pixels, as `(dx, dy, dw, dh)`.

    Fast R-CNN, `t = ((gx - cx) / w, (gy - cy) / h, log(gw / w), log(gh / h))`.
    Law: `decode_boxes(encode_boxes(b, r), r) == b`.
    """
    centers, sizes = _centers_and_sizes(boxes)
    ref_centers, ref_sizes = _centers_and_sizes(references)
    return torch.cat([(centers - ref_centers) / ref_sizes, torch.log(sizes / ref_sizes)], dim=-1)


def encode_where(mask: Tensor, boxes: Tensor, references: Tensor) -> Tensor:
    """Encode `boxes` `[..., 4]` where `mask` `[...]`; zeros elsewhere, even for a NaN."""
    return encode_boxes(torch.where(mask[..., None], boxes, references), references)


def decode_boxes(deltas: Tensor, references: Tensor) -> Tensor:
    """Invert `encode_boxes`: `deltas` `[..., 4]` on `references` `[..., 4]` give boxes in pixels.

    Computed in float32 at least, whatever the precision of the regression.
    """
    deltas = deltas.to(torch.promote_types(deltas.dtype, torch.float32))
    ref_centers, ref_sizes = _centers_and_sizes(references)
    centers = ref_centers + deltas[..., :2] * ref_sizes
    half = 0.5 * torch.exp(deltas[..., 2:]) * ref_sizes
    return torch.cat([centers - half, centers + half - 1.0], dim=-1)


def box_area(boxes: Tensor) -> Tensor:
    """Area of `[..., 4]` boxes in square pixels; an inverted box has area 0."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of every pair: `a` `[N, 4]`, `b` `[M, 4]` give `[N, M]`.

    No "+1". Symmetric; 1 for a box of positive area with itself; 0 where the union is empty.
    """
    top_left = torch.maximum(a[:, None, :2], b[None, :, :2])  # [N, M, 2]
    bottom_right = torch.minimum(a[:, None, 2:], b[None, :, 2:])  # [N, M, 2]
    intersection = (bottom_right - top_left).clamp(min=0).prod(dim=-1)  # [N, M]
    union = box_area(a)[:, None] + box_area(b)[None, :] - intersection
    return torch.where(union > 0, intersection / union.clamp(min=torch.finfo(a.dtype).tiny), 0.0)


def clip_boxes(boxes: Tensor, height: float, width: float) -> Tensor:
    """Clip `[..., 4]` boxes to `[0, width] x [0, height]`."""
    return torch.minimum(boxes.clamp(min=0), _image_size(boxes, height, width))


def make_valid(boxes: Tensor, height: int, width: int) -> Tensor:
    """Clip `[..., 4]` boxes to the image; what is then too small becomes the whole image.

    A box at most `MIN_SIDE` pixels wide *or* high has nothing left to refine, so the next step
    starts anew from everything. Applied to each box of a tube on its own.
    """
    clipped = clip_boxes(boxes, height, width)
    sizes = clipped[..., 2:] - clipped[..., :2]
    too_small = (sizes <= MIN_SIDE).any(dim=-1, keepdim=True)
    size = _image_size(boxes, height, width)
    whole = torch.cat([torch.zeros_like(size[:2]), size[2:]])
    return torch.where(too_small, whole, clipped)


def normalize_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixels to fractions of width and height, the unit of AVA's files."""
    return boxes / _image_size(boxes, height, width)


def scale_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Fractions of width and height to pixels; inverts `normalize_boxes`."""
    return boxes * _image_size(boxes, height, width)


def _image_size(boxes: Tensor, height: float, width: float) -> Tensor:
    """`(width, height, width, height)` beside `boxes`, made there: a GPU need not be waited for."""
    size = boxes.new_full((4,), height)
    size[::2].fill_(width)
    return size
