"""Tubes: one box per feature step, `[N, T, 4]` in pixels; and how a tube grows in time (paper 3.2).

`T` is the length of a clip (a chunk) in feature steps; a tube of c chunks has `c * T` boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from utils.geometry.boxes import clip_boxes

# Chunks per step, of which a model of S steps takes the first S (spec section 6).
SCHEDULES: dict[str, tuple[int, ...]] = {
    "spatial": (1, 1, 1, 1),
    "temporal": (1, 1, 3, 3),
    "temporal2": (1, 3, 3, 5),
}
EXTENSIONS = ("predict", "extrapolate", "mean")


def replicate_boxes(boxes: Tensor, length: int) -> Tensor:
    """Repeat `[N, 4]` boxes over time: tubes `[N, length, 4]` that do not move."""
    return boxes[:, None].expand(-1, length, -1).contiguous()


def center_steps(sequence: Tensor, length: int, dim: int = 1) -> Tensor:
    """The `length` centre entries of `sequence` along `dim`."""
    start = (sequence.shape[dim] - length) // 2
    return sequence.narrow(dim, start, length)


def key_box_index(length: int, clip_steps: int) -> int:
    """Position, in a tube of `length` steps, of the middle feature step of the middle chunk."""
    chunks = length // clip_steps
    return (chunks // 2) * clip_steps + clip_steps // 2


def tube_iou(a: Tensor, b: Tensor) -> Tensor:
    """Mean of the per-frame IoUs of every pair: `[N, T, 4]`, `[M, T, 4]` give `[N, M]`."""
    top_left = torch.maximum(a[:, None, :, :2], b[None, :, :, :2])
    bottom_right = torch.minimum(a[:, None, :, 2:], b[None, :, :, 2:])
    intersection = (bottom_right - top_left).clamp(min=0).prod(dim=-1)
    areas = [(t[..., 2:] - t[..., :2]).clamp(min=0).prod(dim=-1) for t in (a, b)]
    union = areas[0][:, None] + areas[1][None] - intersection
    per_frame = torch.where(union > 0, intersection / union.clamp(min=1e-12), 0.0)
    return per_frame.mean(dim=-1)


def extrapolate_tubes(tubes: Tensor, clip_steps: int, height: int, width: int) -> Tensor:
    """Extend `[N, L, 4]` tubes by a clip to either side along a straight line (paper 3.2).

    Each new box is `T/(T-1) * b[-1] - 1/(T-1) * b[-T]`, in turn, and likewise backwards; then all
    boxes are clipped to `[0, width - 1] x [0, height - 1]`. A clip of one step has no direction:
    its box is repeated.
    """
    if clip_steps == 1:
        extended = torch.cat([tubes[:, :1], tubes, tubes[:, -1:]], dim=1)
    else:
        extended = tubes
        for _ in range(clip_steps):
            ahead = _next_box(extended, clip_steps)
            behind = _next_box(extended.flip(1), clip_steps)
            extended = torch.cat([behind, extended, ahead], dim=1)
    return clip_boxes(extended, height - 1, width - 1)


def _next_box(tubes: Tensor, clip_steps: int) -> Tensor:
    """The box after the last one on the line through it and the one `T - 1` steps before."""
    step = clip_steps - 1
    return (clip_steps / step * tubes[:, -1] - 1 / step * tubes[:, -clip_steps])[:, None]


def extend_tubes(
    tubes: Tensor,
    before: Tensor | None,
    after: Tensor | None,
    mode: str,
    clip_steps: int,
    height: int,
    width: int,
) -> Tensor:
    """Extend `[N, L, 4]` tubes by one clip to either side: `[N, L + 2 T, 4]`.

    `predict` joins the anticipated tubes `before` and `after` `[N, T, 4]` in time order,
    `extrapolate` follows a line, `mean` puts the tube's mean box before and after it.
    """
    if mode == "predict":
        assert before is not None, "this head does not anticipate"
        assert after is not None
        return torch.cat([before, tubes, after], dim=1)
    if mode == "extrapolate":
        return extrapolate_tubes(tubes, clip_steps, height, width)
    assert mode == "mean", f"extension {mode!r}, expected one of {EXTENSIONS}"
    mean = replicate_boxes(tubes.mean(dim=1), clip_steps)
    return torch.cat([mean, tubes, mean], dim=1)
