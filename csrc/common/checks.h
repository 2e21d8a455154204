// Argument checks and layout choices that all backends of the RoI operators share.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <limits>

#include "roi.h"

namespace step {

// More bins or samples per axis are no pooling, but a mistake that would ask for any amount of
// memory or time. utils/ops/arguments.py has the same limits.
constexpr int64_t kMostBins = 1024;
constexpr int64_t kMostSamples = 128;

inline void check_pooled_size(int64_t pooled_height, int64_t pooled_width) {
  TORCH_CHECK_VALUE(
      pooled_height > 0 && pooled_width > 0 && pooled_height <= kMostBins &&
          pooled_width <= kMostBins,
      "output size must be positive, and at most ", kMostBins, ", got ",
      pooled_height, " x ", pooled_width);
}

inline void check_sampling_ratio(int64_t sampling_ratio) {
  TORCH_CHECK_VALUE(
      sampling_ratio <= kMostSamples,
      "sampling_ratio must be at most ", kMostSamples, ", got ", sampling_ratio);
}

// features [N, C, H, W], boxes [K, 5] = (batch index, x1, y1, x2, y2), both on one device.
inline void check_roi_inputs(
    const at::Tensor& features, const at::Tensor& boxes, const RoiParams& params) {
  TORCH_CHECK_VALUE(
      features.dim() == 4, "features must be [N, C, H, W], got ", features.dim(), " dimensions");
  TORCH_CHECK_VALUE(
      boxes.dim() == 2 && boxes.sym_size(1) == 5,
      "boxes must be [K, 5] = (batch index, x1, y1, x2, y2), got ",
      boxes.sym_sizes());
  TORCH_CHECK_VALUE(
      features.is_floating_point() && boxes.is_floating_point(),
      "features and boxes must be floating point, got ",
      features.scalar_type(),
      " and ",
      boxes.scalar_type());
  TORCH_CHECK_VALUE(
      features.device() == boxes.device(),
      "features and boxes must be on one device, got ",
      features.device(),
      " and ",
      boxes.device());
  check_pooled_size(params.pooled_height, params.pooled_width);
  check_sampling_ratio(params.sampling_ratio);
}

// grad [K, C, PH, PW] of what was pooled from features of input_size = (N, C, H, W) in boxes [K, 5].
// The backward operators can be called by name, with anything: they index memory by these sizes.
inline void check_roi_gradient(
    const at::Tensor& grad, const at::Tensor& boxes, c10::SymIntArrayRef input_size) {
  TORCH_CHECK_VALUE(
      grad.dim() == 4, "grad must be [K, C, PH, PW], got ", grad.dim(), " dimensions");
  TORCH_CHECK_VALUE(
      boxes.dim() == 2 && boxes.sym_size(1) == 5,
      "boxes must be [K, 5] = (batch index, x1, y1, x2, y2), got ", boxes.sym_sizes());
  TORCH_CHECK_VALUE(
      boxes.sym_size(0) == grad.sym_size(0),
      "grad must hold as many boxes as there are, ", boxes.sym_size(0), ", got ", grad.sym_sizes());
  TORCH_CHECK_VALUE(
      input_size.size() == 4, "input_size must be (N, C, H, W), got ", input_size);
  for (const auto& size : input_size) {
    TORCH_CHECK_VALUE(size >= 0, "input_size must be (N, C, H, W), got ", input_size);
  }
  TORCH_CHECK_VALUE(
      input_size[1] == grad.sym_size(1),
      "grad must have the channels of input_size, ", input_size[1], ", got ", grad.sym_sizes());
  TORCH_CHECK_VALUE(
      grad.is_floating_point() && boxes.is_floating_point(),
      "grad and boxes must be floating point, got ",
      grad.scalar_type(), " and ", boxes.scalar_type());
  TORCH_CHECK_VALUE(
      grad.device() == boxes.device(),
      "grad and boxes must be on one device, got ", grad.device(), " and ", boxes.device());
}

// argmax as roi_pool gives it with what grad is the gradient of.
inline void check_argmax(const at::Tensor& grad, const at::Tensor& argmax) {
  TORCH_CHECK_VALUE(
      argmax.scalar_type() == at::kInt, "argmax must be int32, got ", argmax.scalar_type());
  TORCH_CHECK_VALUE(
      argmax.sym_sizes() == grad.sym_sizes(),
      "argmax must have grad's size, ", grad.sym_sizes(), ", got ", argmax.sym_sizes());
  TORCH_CHECK_VALUE(
      argmax.device() == grad.device(),
      "argmax and grad must be on one device, got ", argmax.device(), " and ", grad.device());
}

// Places of maxima are int32 numbers of pixels.
inline void check_pixels(int64_t height, int64_t width) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  TORCH_CHECK_VALUE(
      height == 0 || width <= most / height,
      "maps of more than ", most, " pixels cannot be pooled, got ", height, " x ", width);
}

// boxes [K, 5] on the CPU, contiguous, of type T. CUDA asserts on the device instead: the check
// would have to wait for it.
template <typename T>
void check_image_indices(const at::Tensor& boxes, int64_t images) {
  const T* data = boxes.const_data_ptr<T>();
  for (int64_t k = 0; k < boxes.size(0); ++k) {
    const T image = data[k * 5];
    TORCH_CHECK_VALUE(
        image >= T(0) && image < T(images),
        "boxes[", k, "] has batch index ", image, ", but features hold ", images, " maps");
  }
}

// Outputs follow the features' layout, so a channels-last network stays channels-last.
inline bool is_channels_last(const at::Tensor& features) {
  return features.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
}

inline at::MemoryFormat memory_format(bool channels_last) {
  return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

// The type that sums and coordinates are computed in: half and bfloat16 have too few bits for
// either (bfloat16 knows only even pixels past 256), so float32 is the least, autocast or not.
inline at::ScalarType compute_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace step
