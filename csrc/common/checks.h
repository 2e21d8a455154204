// Argument checks and layout choices that all backends of the RoI operators share.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace step {

// features [N, C, H, W], boxes [K, 5] = (batch index, x1, y1, x2, y2), both on one device.
inline void check_roi_inputs(
    const at::Tensor& features,
    const at::Tensor& boxes,
    int64_t pooled_height,
    int64_t pooled_width) {
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
  TORCH_CHECK_VALUE(
      pooled_height > 0 && pooled_width > 0,
      "output size must be positive, got ",
      pooled_height,
      " x ",
      pooled_width);
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
