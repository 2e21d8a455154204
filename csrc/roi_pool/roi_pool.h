// RoI max pooling: the maximum over the feature pixels of each bin of a box.
// Girshick, "Fast R-CNN", ICCV 2015, section 2.1.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace step {

// features [N, C, H, W], boxes [K, 5] -> the maxima [K, C, pooled_height, pooled_width] and where
// they are, as row * W + column in int32 (-1 for an empty bin, whose maximum is 0).
std::tuple<at::Tensor, at::Tensor> roi_pool(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width);

// grad and argmax [K, C, PH, PW] -> the gradient for features of input_size = (N, C, H, W).
at::Tensor roi_pool_backward(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    bool channels_last);

}  // namespace step
