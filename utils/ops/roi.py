"""RoI align and RoI max pooling.

Letters: N feature maps, C channels, H, W their size; K boxes; PH, PW the output size.
"""

import torch

from utils.ops import _backend, arguments


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
            in float32, or in float64 for float64 features. A box with a corner that is no finite
            number pools zeros.
        output_size: (PH, PW), or one number for both, up to 1024.
        spatial_scale: size of the feature map / size of the input image, 1/16 at stride 16.
        sampling_ratio: samples per bin along each axis; 0 or less adapts it to the box,
            ceil(box height / PH) and ceil(box width / PW) in feature pixels. At most 128.
        aligned: False is the legacy alignment of STEP's release: scaled corners are used as they
            are, and boxes are at least one feature pixel wide and high. True shifts boxes by half
            a feature pixel, so that pixel centres of image and features coincide.

    Returns:
        [K, C, PH, PW] in the features' dtype.

    Raises:
        ValueError: for wrong shapes, dtypes, devices or sizes; on the CPU also for a batch index
            outside [0, N) (on CUDA a device-side assertion, to avoid a synchronisation).
        NotImplementedError: from a second derivative, and under torch.func's grad, vjp and jvp.
    """
    _check("roi_align", features, boxes)
    size = arguments.output_size(output_size)
    scale = arguments.spatial_scale(spatial_scale)
    ratio = arguments.sampling_ratio(sampling_ratio)
    if not isinstance(aligned, bool):
        raise ValueError(f"aligned must be True or False, got {aligned!r}")
    return _backend.operators.roi_align(features, boxes.detach(), scale, *size, ratio, aligned)


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
    _check("roi_pool", features, boxes)
    size = arguments.output_size(output_size)
    scale = arguments.spatial_scale(spatial_scale)
    return _backend.operators.roi_pool(features, boxes.detach(), scale, *size)


def _check(operator: str, features: torch.Tensor, boxes: torch.Tensor) -> None:
    """Refuse tensors that cannot be pooled."""
    arguments.check_tensor("features", features, "[N, C, H, W]")
    arguments.check_tensor("boxes", boxes, "[K, 5] = (batch index, x1, y1, x2, y2)")
    if features.ndim != 4:
        raise ValueError(f"features must be [N, C, H, W], got {tuple(features.shape)}")
    if boxes.ndim != 2 or boxes.shape[1] != 5:
        raise ValueError(
            f"boxes must be [K, 5] = (batch index, x1, y1, x2, y2), got {tuple(boxes.shape)}"
        )
    arguments.check_floats(features=features, boxes=boxes)
    arguments.refuse_transforms(operator, features)
