"""torchvision's operators behind the argument lists of ours, for installs without a compiler.

They give the same values. What they lack: speed on channels-last features, channels-last output,
and gradients on the CPU that do not depend on the number of threads.

torchvision converts coordinates to integers unchecked: a NaN reads outside the features, a box far
larger than the map asks for terabytes (pytorch/vision#9273). So it never sees such a box.
"""

from types import ModuleType

import torch

from utils.ops import wild


def _ops() -> ModuleType:
    """At the first call: it takes two seconds, and compiled operators never come here."""
    from torchvision import ops

    return ops


def _float(tensor: torch.Tensor) -> torch.dtype:
    """float64 for float64, else float32: half precision is too coarse for coordinates and sums."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def _may_look(tensor: torch.Tensor) -> bool:
    """Whether values may decide what runs. On CUDA that would synchronise, and a compiled graph
    cannot branch on values."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _check_images(features: torch.Tensor, boxes: torch.Tensor) -> None:
    """torchvision reads outside the features for a bad index."""
    if not _may_look(boxes) or boxes.shape[0] == 0:
        return
    bad = ~((boxes[:, 0] >= 0) & (boxes[:, 0] < features.shape[0]))
    if bad.any():
        k = int(bad.nonzero()[0])
        raise ValueError(
            f"boxes[{k}] has batch index {boxes[k, 0]:g}, but features hold "
            f"{features.shape[0]} maps"
        )


def roi_align(
    features: torch.Tensor,
    boxes: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """features [N, C, H, W], boxes [K, 5] -> [K, C, pooled_height, pooled_width]."""
    _check_images(features, boxes)
    dtype, size = _float(features), (pooled_height, pooled_width)
    dense, rois = features.to(dtype), boxes.to(dtype)
    # 0 is "adapted to the box" for us; some versions of torchvision take negative numbers only.
    ratio = sampling_ratio if sampling_ratio > 0 else -1
    samples = wild.samples_per_bin(rois, spatial_scale, size, ratio, aligned)
    limit = wild.MOST_SAMPLES if _may_look(rois) else wild.MOST_SAMPLES_UNSEEN
    finite = wild.is_finite(rois, spatial_scale)
    usable = finite & (samples >= 1) & (samples <= limit)
    tame = wild.moved_outside(rois, ~usable, spatial_scale)
    pooled = _ops().roi_align(dense, tame, size, spatial_scale, ratio, aligned)
    if _may_look(rois) and not usable.all():
        large = (finite & (samples > limit)).nonzero()[:, 0]
        if len(large):
            exact = [wild.align(dense, rois[k], spatial_scale, size, aligned) for k in large]
            pooled = pooled.index_copy(0, large, torch.stack(exact))
    return pooled.to(features.dtype)


def roi_pool(
    features: torch.Tensor,
    boxes: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
) -> torch.Tensor:
    """features [N, C, H, W], boxes [K, 5] -> [K, C, pooled_height, pooled_width]."""
    _check_images(features, boxes)
    dtype, size = _float(features), (pooled_height, pooled_width)
    rois = boxes.to(dtype)
    tame = wild.moved_outside(rois, ~wild.is_finite(rois, spatial_scale), spatial_scale)
    # Scaled here, so that what is clamped are feature pixels, as in csrc/roi_pool/bins.h.
    corners = (tame[:, 1:] * spatial_scale).clamp(-wild.FARTHEST_PIXEL, wild.FARTHEST_PIXEL)
    tame = torch.cat([tame[:, :1], corners], dim=1)
    return _ops().roi_pool(features.to(dtype), tame, size, 1.0).to(features.dtype)


def nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """boxes [M, 4], scores [M] -> kept indices in descending order of score.

    torchvision compares a float32 IoU with a float64 threshold on the CPU, so that an IoU of
    exactly 0.4 is "greater" than 0.4; rounding the threshold to the boxes' type first avoids it.
    """
    dtype = _float(boxes)
    threshold = torch.tensor(iou_threshold, dtype=dtype).item()
    return _ops().nms(boxes.to(dtype), scores.to(dtype), threshold)


def nms_classes(
    boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, score_threshold: float
) -> torch.Tensor:
    """boxes [M, 4], scores [M, C] -> bool [M, C], what is kept; all classes step by step together.

    Also what runs on a GPU: no value is looked at on the host.
    """
    dtype = _float(boxes)
    boxes, classes = boxes.to(dtype), torch.arange(scores.shape[1], device=scores.device)
    threshold = torch.tensor(iou_threshold, dtype=dtype).item()
    overlaps = _ops().box_iou(boxes, boxes) > threshold
    order = scores.argsort(dim=0, descending=True, stable=True)
    left = scores > score_threshold
    kept = torch.zeros_like(left)
    for best in order:  # [C], the next box of every class
        taken = left[best, classes]
        kept[best, classes] = taken
        left = left & ~(overlaps[best].T & taken)
    return kept
