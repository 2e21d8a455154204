// RoI align: the mean of bilinear samples on a regular grid in each bin of a box.
// He et al., "Mask R-CNN", ICCV 2017, section 3.
#pragma once

#include <ATen/core/Tensor.h>

namespace step {

// features [N, C, H, W], boxes [K, 5] -> [K, C, pooled_height, pooled_width]. Coordinates are
// pixels of the input image; spatial_scale takes them to the feature map. sampling_ratio <= 0
// means ceil(box size / pooled size) samples per bin and axis. aligned shifts the box by half a
// feature pixel; without it, a box is also at least one feature pixel wide and high.
at::Tensor roi_align(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width,
    int64_t sampling_ratio,
    bool aligned);

// grad [K, C, PH, PW] -> the gradient for features of input_size = (N, C, H, W).
at::Tensor roi_align_backward(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    double spatial_scale,
    int64_t sampling_ratio,
    bool aligned,
    bool channels_last);

}  // namespace step
