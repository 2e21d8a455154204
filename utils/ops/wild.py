"""Boxes that torchvision's operators must not see, and what to give for them instead.

A box with a coordinate that is no finite number pools zeros. RoI align of a box far larger than the
map is computed here from the few samples that fall on the map. Formulas as in
csrc/roi_align/sampling.h.
"""

import torch

# RoI align's samples per bin up to which torchvision does the work: it stores (CPU) or visits
# (CUDA) every one, on the map or not.
MOST_SAMPLES = 32**2
# Where values may not be looked at, boxes of more samples pool zeros: a bin is over 256 x 256
# feature pixels then, and outside the map a sample counts as zero anyway.
MOST_SAMPLES_UNSEEN = 256**2
# RoI pooling clamps corners to so many feature pixels: float32 knows every integer up to here, also
# of their differences.
FARTHEST_PIXEL = float(2**22)
# As many samples per bin and axis are told apart, as in csrc.
_LARGEST_GRID = 1e9


def is_finite(boxes: torch.Tensor, spatial_scale: float) -> torch.Tensor:
    """Which boxes [K, 5] have a finite width and height on the feature map; bool [K]."""
    corners = boxes[:, 1:] * spatial_scale
    return torch.isfinite(corners[:, 2:] - corners[:, :2]).all(dim=1)


def moved_outside(boxes: torch.Tensor, which: torch.Tensor, spatial_scale: float) -> torch.Tensor:
    """boxes [K, 5] with those of `which` (bool [K]) moved to feature pixels -100 to -99, where
    there is nothing to pool."""
    outside = boxes.new_tensor([-100.0, -100.0, -99.0, -99.0]) / spatial_scale
    corners = torch.where(which[:, None], outside, boxes[:, 1:])
    return torch.cat([boxes[:, :1], corners], dim=1)


def samples_per_bin(
    boxes: torch.Tensor,
    spatial_scale: float,
    output_size: tuple[int, int],
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """How many samples RoI align takes in a bin of each box [K, 5]; [K], NaN for a NaN box.

    None for a box of no or negative width or height, where `aligned`.
    """
    if sampling_ratio > 0:
        return torch.full_like(boxes[:, 0], sampling_ratio**2)
    corners = boxes[:, 1:] * spatial_scale
    size = corners[:, 2:] - corners[:, :2]  # width, height
    if not aligned:
        size = size.clamp(min=1)
    bins = size.new_tensor([output_size[1], output_size[0]])
    return (size / bins).ceil().clamp(min=0).prod(dim=1)


def align(
    features: torch.Tensor,
    box: torch.Tensor,
    spatial_scale: float,
    output_size: tuple[int, int],
    aligned: bool,
) -> torch.Tensor:
    """RoI align with adaptive sampling of one box [5] of any finite size.

    Args:
        features: [N, C, H, W].

    Returns:
        [C, PH, PW].
    """
    left, top, right, bottom = box[1:] * spatial_scale
    down = _axis(top, bottom, output_size[0], features.shape[2], aligned)
    across = _axis(left, right, output_size[1], features.shape[3], aligned)
    return down @ features[int(box[0])] @ across.T


def _axis(
    low: torch.Tensor, high: torch.Tensor, bins: int, extent: int, aligned: bool
) -> torch.Tensor:
    """The weight of every pixel in the mean of every bin along one axis; [bins, extent]."""
    start, size = low - (0.5 if aligned else 0.0), high - low
    if not aligned:
        size = size.clamp(min=1)
    length = size / bins
    grid = length.ceil().clamp(0, _LARGEST_GRID)
    weights = low.new_zeros(bins, extent)
    if grid == 0 or extent == 0:
        return weights
    step = length / grid
    base = start + torch.arange(bins, dtype=low.dtype) * length
    first = ((-1 - base) / step).floor() - 2
    # Two samples in the bin of a pixel at most, and a few to be safe: the others miss the map.
    samples = first[:, None] + torch.arange(2 * extent + 8, dtype=low.dtype)
    position = base[:, None] + (samples + 0.5) * step
    counts = (samples >= 0) & (samples < grid) & (position >= -1) & (position <= extent)
    inside = position.clamp(0, extent - 1)
    lower = inside.floor().clamp(max=max(extent - 2, 0))
    share = counts / grid
    fraction = inside - lower
    lower = lower.long()
    weights.scatter_add_(1, lower, (1 - fraction) * share)
    return weights.scatter_add_(1, (lower + 1).clamp(max=extent - 1), fraction * share)
