"""The operators in plain PyTorch, one box at a time: slow, short, and what the tests compare with.

Arguments and results as in `utils.ops`; gradients come from autograd. At run time only
the self-tests call these.
"""

import torch


def _axis_samples(
    low: torch.Tensor, high: torch.Tensor, bins: int, sampling_ratio: int, aligned: bool
) -> torch.Tensor:
    """Sample positions [bins, samples] along one axis of a box, in feature pixels."""
    shift = 0.5 if aligned else 0.0
    size = high - low
    if not aligned:
        size = size.clamp(min=1)
    samples = sampling_ratio if sampling_ratio > 0 else max(int((size / bins).ceil()), 0)
    steps = (torch.arange(samples, dtype=low.dtype, device=low.device) + 0.5) / max(samples, 1)
    edges = torch.arange(bins, dtype=low.dtype, device=low.device)
    return low - shift + (edges[:, None] + steps) * size / bins


def _interpolation(positions: torch.Tensor, extent: int) -> torch.Tensor:
    """Linear interpolation at positions [P] as a matrix [P, extent]; a zero row is outside."""
    inside = (positions >= -1) & (positions <= extent)
    at = positions.clamp(0, extent - 1)
    pixels = torch.arange(extent, dtype=at.dtype, device=at.device)
    return (1 - (at[:, None] - pixels).abs()).clamp(min=0) * inside[:, None]


def roi_align(
    features: torch.Tensor,
    boxes: torch.Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> torch.Tensor:
    """features [N, C, H, W], boxes [K, 5] -> [K, C, PH, PW]; see `utils.ops.roi_align`."""
    height, width = features.shape[2:]
    pooled = [features.new_zeros(0, features.shape[1], *output_size)]
    for image, x1, y1, x2, y2 in boxes.detach().to(features.dtype).unbind(0):
        corners = (c * spatial_scale for c in (x1, x2, y1, y2))
        left, right, top, bottom = corners
        xs = _axis_samples(left, right, output_size[1], sampling_ratio, aligned)  # [PW, gx]
        ys = _axis_samples(top, bottom, output_size[0], sampling_ratio, aligned)  # [PH, gy]
        across = _interpolation(xs.flatten(), width)  # [PW * gx, W]
        down = _interpolation(ys.flatten(), height)  # [PH * gy, H]
        samples = down @ features[int(image)] @ across.T  # [C, PH * gy, PW * gx]
        grid = samples.unflatten(2, xs.shape).unflatten(1, ys.shape)  # [C, PH, gy, PW, gx]
        mean = grid.sum(dim=(2, 4)) / max(xs.shape[1] * ys.shape[1], 1)
        pooled.append(mean[None])
    return torch.cat(pooled)


def _round_half_away(value: torch.Tensor) -> int:
    return int(value.sign() * (value.abs() + 0.5).floor())


def _bin_slice(first: int, last: int, index: int, bins: int, extent: int) -> slice:
    """The pixels of one bin of the box from pixel `first` to pixel `last`, both included."""
    size = max(last - first + 1, 1)
    start = first + (index * size) // bins
    stop = first - (-(index + 1) * size) // bins
    return slice(min(max(start, 0), extent), min(max(stop, 0), extent))


def roi_pool(
    features: torch.Tensor,
    boxes: torch.Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
) -> torch.Tensor:
    """features [N, C, H, W], boxes [K, 5] -> [K, C, PH, PW]; see `utils.ops.roi_pool`."""
    channels, height, width = features.shape[1:]
    pooled = []
    for box in boxes.detach().to(features.dtype).unbind(0):
        left, top, right, bottom = (_round_half_away(c * spatial_scale) for c in box[1:])
        for i in range(output_size[0]):
            rows = _bin_slice(top, bottom, i, output_size[0], height)
            for j in range(output_size[1]):
                columns = _bin_slice(left, right, j, output_size[1], width)
                pixels = features[int(box[0]), :, rows, columns].flatten(1)
                empty = pixels.shape[1] == 0
                pooled.append(features.new_zeros(channels) if empty else pixels.max(dim=1).values)
    if not pooled:
        return features.new_zeros(0, channels, *output_size)
    return torch.stack(pooled).view(-1, *output_size, channels).permute(0, 3, 1, 2)


def _iou(box: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU of box [4] with others [M, 4], continuous areas; [M]."""
    low = torch.maximum(box[:2], others[:, :2])
    high = torch.minimum(box[2:], others[:, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=1)
    area = (box[2:] - box[:2]).prod()
    areas = (others[:, 2:] - others[:, :2]).prod(dim=1)
    return intersection / (area + areas - intersection)


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """boxes [M, 4], scores [M] -> kept indices; see `utils.ops.nms`."""
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[~(_iou(boxes[best], boxes[left]) > iou_threshold)]
    return torch.stack(kept) if kept else left
