"""Tubes: a person's boxes over time, and how a tube grows (paper, temporal extension; Eq. 4, 5).

A tube has one box per feature step, in pixels. It consists of c chunks, c odd; a chunk is as long
as a clip, T feature steps. The key frame is in the middle of the middle chunk. A tube of three
chunks with T = 3, and what its head anticipates (`extension="predict"`):

    chunk              0         1         2
    before          0  1  2   3  4  5   6  7  8        after
    .  m  .         .  m  .   . KEY .   .  m  .      .  m  .

`m` is the middle box of a chunk. `before` is regressed from chunk 0; its target is the box of the
same person (c + 1) / 2 = 2 clips before the key frame. `after` is regressed from the last chunk;
its target is 2 clips after.

Letters: N tubes, M other tubes, T feature steps of a clip, L = c T of a tube.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.geometry.boxes import clip_boxes

# The temporal schedule: chunks of the tubes at each step, of which a model of S steps takes the
# first S. Chosen by `model.schedule` (docs/method.md, "Tubes and steps").
SCHEDULES: dict[str, tuple[int, ...]] = {
    "spatial": (1, 1, 1, 1),
    "temporal": (1, 1, 3, 3),
    "temporal2": (1, 3, 3, 5),
}
# The schedules of UCF101: `progressive` extends at every step, as the paper does; `long` takes the
# whole window from the first step on, and extends nothing (paper, Figure 5).
TUBE_SCHEDULES: dict[str, tuple[int, ...]] = {
    "progressive": (1, 3, 5, 7),
    "spatial": (1, 1, 1, 1),
    "long": (5, 5, 5, 5),
}
EXTENSIONS = ("predict", "extrapolate", "closed", "mean")


def replicate_boxes(boxes: Tensor, length: int) -> Tensor:
    """Repeat boxes `[N, 4]` over time: tubes `[N, length, 4]` that do not move."""
    return boxes[:, None].expand(-1, length, -1).contiguous()  # [N, length, 4]


def center_steps(sequence: Tensor, length: int, dim: int = 1) -> Tensor:
    """The `length` centre entries of `sequence` along `dim`."""
    start = (sequence.shape[dim] - length) // 2
    return sequence.narrow(dim, start, length)


def key_box_index(length: int, clip_steps: int) -> int:
    """Position, in a tube of `length` steps, of the middle feature step of the middle chunk."""
    chunks = length // clip_steps
    return (chunks // 2) * clip_steps + clip_steps // 2


def key_chunk(length: int, clip_steps: int) -> slice:
    """The steps of the middle chunk, in a tube of `length` steps."""
    start = (length - clip_steps) // 2
    return slice(start, start + clip_steps)


def is_extended_after(step: int, chunks: Sequence[int]) -> bool:
    """Whether the tubes of `step`, from 0, grow before the next step.

    Args:
        chunks: Of each step.
    """
    return step + 1 < len(chunks) and chunks[step + 1] > chunks[step]


def anticipated_clip(chunks: int) -> int:
    """Distance of the anticipated clips from the key frame [clips].

    Args:
        chunks: Of the tube.
    """
    return (chunks + 1) // 2


def first_chunk(tubes: Tensor, clip_steps: int) -> Tensor:
    """The first T boxes of tubes `[N, L, 4]`: `[N, T, 4]`."""
    return tubes[:, :clip_steps]


def last_chunk(tubes: Tensor, clip_steps: int) -> Tensor:
    """The last T boxes of tubes `[N, L, 4]`: `[N, T, 4]`."""
    return tubes[:, -clip_steps:]


def middle_box(chunk: Tensor) -> Tensor:
    """The box in the middle feature step of a chunk `[N, T, 4]`: `[N, 4]`."""
    return chunk[:, chunk.shape[1] // 2]


def key_box(tubes: Tensor, clip_steps: int) -> Tensor:
    """The box on the key frame of tubes `[N, L, 4]`: `[N, 4]`."""
    return tubes[:, key_box_index(tubes.shape[1], clip_steps)]


def tube_iou(a: Tensor, b: Tensor) -> Tensor:
    """Mean of the per-frame IoUs of every pair: `[N, T, 4]`, `[M, T, 4]` give `[N, M]`."""
    return paired_iou(a[:, None], b[None])  # [N, M]


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Mean of the per-frame IoUs of tubes `[..., T, 4]` beside each other: `[...]`."""
    top_left = torch.maximum(a[..., :2], b[..., :2])  # [..., T, 2]
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    intersection = (bottom_right - top_left).clamp(min=0).prod(dim=-1)  # [..., T]
    areas = [(t[..., 2:] - t[..., :2]).clamp(min=0).prod(dim=-1) for t in (a, b)]
    union = areas[0] + areas[1] - intersection
    per_frame = torch.where(union > 0, intersection / union.clamp(min=1e-12), 0.0)
    return per_frame.mean(dim=-1)


def extrapolate_tubes(tubes: Tensor, clip_steps: int, height: int, width: int) -> Tensor:
    """Extend tubes `[N, L, 4]` along a straight line (Eq. 4): `[N, L + 2 T, 4]`.

    The release's recursive form: T times in turn, the next box is `T/(T-1) * b[-1] - 1/(T-1) *
    b[-T]`, and the previous one likewise backwards. Then all boxes are clipped to `[0, width - 1] x
    [0, height - 1]`. A clip of one feature step has no direction: its box is repeated.
    """
    if clip_steps == 1:
        extended = torch.cat([tubes[:, :1], tubes, tubes[:, -1:]], dim=1)
    else:
        extended = tubes
        for _ in range(clip_steps):
            ahead = _next_box(extended, clip_steps)
            behind = _next_box(extended.flip(1), clip_steps)
            extended = torch.cat([behind, extended, ahead], dim=1)  # [N, two more, 4]
    return clip_boxes(extended, height - 1, width - 1)


def _next_box(tubes: Tensor, clip_steps: int) -> Tensor:
    """The next box `[N, 1, 4]`, on the line through the last and the one `T - 1` steps before."""
    last, earlier, step = tubes[:, -1], tubes[:, -clip_steps], clip_steps - 1
    return (clip_steps / step * last - 1 / step * earlier)[:, None]


def extrapolate_closed(tubes: Tensor, clip_steps: int, height: int, width: int) -> Tensor:
    """Extend tubes `[N, L, 4]` as Eq. 4 of the paper is written: `[N, L + 2 T, 4]`.

    In closed form from the last T boxes alone, for k = 1..T: `b[L] + k/(T-1) (b[L] - b[L-T+1])`,
    and likewise backwards from the first T. Then all boxes are clipped to `[0, width - 1] x
    [0, height - 1]`. It equals the recursive form for k = 1 and for motion along a line. A clip of
    one feature step has no direction: its box is repeated.
    """
    steps = torch.arange(1, clip_steps + 1, device=tubes.device, dtype=tubes.dtype)
    shares = (steps / max(clip_steps - 1, 1))[None, :, None]  # [1, T, 1]
    first, last = tubes[:, :1], tubes[:, -1:]  # [N, 1, 4]
    ahead = last + shares * (last - tubes[:, -clip_steps, None])  # [N, T, 4]
    behind = first + shares * (first - tubes[:, clip_steps - 1, None])
    extended = torch.cat([behind.flip(1), tubes, ahead], dim=1)
    return clip_boxes(extended, height - 1, width - 1)


def extend_tubes(
    tubes: Tensor,
    before: Tensor | None,
    after: Tensor | None,
    mode: str,
    clip_steps: int,
    height: int,
    width: int,
) -> Tensor:
    """Extend tubes `[N, L, 4]` by one clip to either side: `[N, L + 2 T, 4]`.

    Args:
        mode: `predict` joins the anticipated tubes `before` and `after` `[N, T, 4]` in time order
            (the paper's anticipation, Eq. 5), `extrapolate` and `closed` follow a line (Eq. 4, as
            the release computes it and as the paper writes it), `mean` puts the tube's mean box
            before and after it.
    """
    if mode == "predict":
        assert before is not None, "this head does not anticipate"
        assert after is not None
        return torch.cat([before, tubes, after], dim=1)
    if mode == "extrapolate":
        return extrapolate_tubes(tubes, clip_steps, height, width)
    if mode == "closed":
        return extrapolate_closed(tubes, clip_steps, height, width)
    assert mode == "mean", f"extension {mode!r}, expected one of {EXTENSIONS}"
    mean = replicate_boxes(tubes.mean(dim=1), clip_steps)  # [N, T, 4]
    return torch.cat([mean, tubes, mean], dim=1)
