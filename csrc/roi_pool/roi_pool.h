// RoI max pooling: the maximum over the feature pixels of each bin of a box.
// Girshick, "Fast R-CNN", ICCV 2015, section 2.1.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/autograd.h>

#include <tuple>

#include "../common/roi.h"

namespace step {

// features [N, C, H, W], boxes [K, 5] -> the maxima [K, C, pooled_height, pooled_width] and where
// they are, as row * W + column in int32 (-1 for an empty bin, whose maximum is 0). The rest of the
// list: RoiParams.
struct RoiPool {
  static constexpr const char* name = "step::roi_pool";
  using Signature = std::tuple<at::Tensor, at::Tensor>(
      const at::Tensor&, const at::Tensor&, double, int64_t, int64_t);

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

// grad and argmax [K, C, PH, PW], boxes, input_size = (N, C, H, W), channels_last -> the gradient
// for the features.
struct RoiPoolBackward {
  static constexpr const char* name = "step::_roi_pool_backward";
  static constexpr const char* of = "roi_pool";
  using Signature = at::Tensor(
      const at::Tensor&, const at::Tensor&, const at::Tensor&, c10::SymIntArrayRef, bool);
};

}  // namespace step
