"""RoI align and RoI max pooling.

Letters: N feature maps, C channels, H, W their size; K boxes; PH, PW the output size.
"""

import torch

from utils.ops import _backend


def roi_align(
    features: torch.Tensor,
    boxes: torch.Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> torch.Tensor:
    """Average bilinear samples of the features in each bin of each box (He et al., ICCV 2017).

    A box is cut into PH x PW bins, a bin is sampled on a regular grid, and out[k, c, i, j] is the
    mean over the samples of bin (i, j). The value of feature pixel (row, column) sits at the point
    (x, y) = (column, row). A sample up to one pixel outside the map takes the border's value; one
    farther outside counts as zero. Gradients flow to the features, not to the boxes, and once:
    there is no second derivative. On the CPU they are the same bits for any number of threads.

    Args:
        features: [N, C, H, W], float64, float32, float16 or bfloat16, any strides. Channels-last
            memory is read as it lies, and gives channels-last output and gradients.
        boxes: [K, 5] = (batch index, x1, y1, x2, y2): corners as continuous coordinates in pixels
            of the input image, batch index in [0, N). They may leave the image. Half precision is
            too coarse for pixels, so hand in float32 also under autocast; coordinates are computed
            in float32, or in float64 for float64 features.
        output_size: (PH, PW), or one number for both.
        spatial_scale: size of the feature map / size of the input image, 1/16 at stride 16.
        sampling_ratio: samples per bin along each axis; 0 or less adapts it to the box,
            ceil(box height / PH) and ceil(box width / PW) in feature pixels.
        aligned: False is the legacy alignment of STEP's release: scaled corners are used as they
            are, and boxes are at least one feature pixel wide and high. True shifts boxes by half
            a feature pixel, so that pixel centres of image and features coincide.

    Returns:
        [K, C, PH, PW] in the features' dtype.

    Raises:
        ValueError: for wrong shapes, dtypes, devices or sizes; on the CPU also for a batch index
            outside [0, N) (on CUDA a device-side assertion, to avoid a synchronisation).
        NotImplementedError: from a second derivative.
    """
    size = _check(features, boxes, output_size, spatial_scale)
    return _backend.operators.roi_align(
        features, boxes.detach(), float(spatial_scale), *size, int(sampling_ratio), bool(aligned)
    )


def roi_pool(
    features: torch.Tensor,
    boxes: torch.Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float = 1.0,
) -> torch.Tensor:
    """Take the maximum over the feature pixels of each bin of each box (Girshick, ICCV 2015).

    Scaled corners are rounded to feature pixels, halves away from zero, and both belong to the
    box. Bin i of PH covers the rows from floor(i * h / PH) up to, not including,
    ceil((i + 1) * h / PH), counted from the box's first; columns alike. A bin wholly outside the
    map is 0. The gradient goes to the first maximal pixel in row-major order. There is none for
    the boxes, and no second derivative.

    Args:
        features: [N, C, H, W], as for `roi_align`.
        boxes: [K, 5] = (batch index, x1, y1, x2, y2), as for `roi_align`.
        output_size: (PH, PW), or one number for both.
        spatial_scale: size of the feature map / size of the input image, 1/16 at stride 16.

    Returns:
        [K, C, PH, PW] in the features' dtype.

    Raises:
        ValueError, NotImplementedError: as `roi_align`.
    """
    size = _check(features, boxes, output_size, spatial_scale)
    return _backend.operators.roi_pool(features, boxes.detach(), float(spatial_scale), *size)


def _check(
    features: torch.Tensor,
    boxes: torch.Tensor,
    output_size: int | tuple[int, int],
    spatial_scale: float,
) -> tuple[int, int]:
    """Refuse what cannot be pooled; returns output_size as (PH, PW)."""
    if features.ndim != 4:
        raise ValueError(f"features must be [N, C, H, W], got {tuple(features.shape)}")
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(
            f"boxes must be [K, 5] = (batch index, x1, y1, x2, y2), got {tuple(boxes.shape)}"
        )
    if not (features.is_floating_point() and boxes.is_floating_point()):
        raise ValueError(
            f"features and boxes must be floating point, got {features.dtype} and {boxes.dtype}"
        )
    if features.device != boxes.device:
        raise ValueError(
            f"features and boxes must be on one device, got {features.device} and {boxes.device}"
        )
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"output_size must be positive (PH, PW), got {output_size}")
    if not spatial_scale > 0:
        raise ValueError(f"spatial_scale must be positive, got {spatial_scale}")
    return size[0], size[1]
