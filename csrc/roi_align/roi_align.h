// RoI align: the mean of bilinear samples on a regular grid in each bin of a box.
// He et al., "Mask R-CNN", ICCV 2017, section 3.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/autograd.h>

#include "../common/roi.h"

namespace step {

// features [N, C, H, W], boxes [K, 5] -> [K, C, pooled_height, pooled_width]. Coordinates are
// pixels of the input image; spatial_scale takes them to the feature map. Without `aligned`, a box
// is also at least one feature pixel wide and high. The rest of the list: RoiParams.
struct RoiAlign {
  static constexpr const char* name = "step::roi_align";
  using Signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, double, int64_t, int64_t, int64_t, bool);

  static void save(
      torch::autograd::AutogradContext* ctx,
      const at::Tensor& boxes,
      const torch::autograd::variable_list& results,
      const RoiParams& params);
  static at::Tensor gradient(
      torch::autograd::AutogradContext* ctx,
      const at::Tensor& grad,
      c10::SymIntArrayRef input_size,
      bool channels_last);
};

// grad [K, C, PH, PW], boxes, input_size = (N, C, H, W), spatial_scale, sampling_ratio, aligned,
// channels_last -> the gradient for the features.
struct RoiAlignBackward {
  static constexpr const char* name = "step::_roi_align_backward";
  static constexpr const char* of = "roi_align";
  using Signature = at::Tensor(
      const at::Tensor&, const at::Tensor&, c10::SymIntArrayRef, double, int64_t, bool, bool);
};

// A kernel of it on RoiParams, without the pooled size, with the list of the schema.
template <auto kernel, typename Size = at::IntArrayRef>
at::Tensor listed_backward(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    Size input_size,
    double spatial_scale,
    int64_t sampling_ratio,
    bool aligned,
    bool channels_last) {
  const RoiParams params{spatial_scale, 0, 0, sampling_ratio, aligned};
  return kernel(grad, boxes, input_size, params, channels_last);
}

}  // namespace step
