// What the RoI operators are asked for, and the sizes that their kernels work with.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/macros/Macros.h>

#include <cstdint>

namespace step {

// The numbers that the schemas list after the tensors, in the schemas' order. RoI pooling has the
// first three.
struct RoiParams {
  double spatial_scale = 0;  // feature pixels per image pixel
  int64_t pooled_height = 0;
  int64_t pooled_width = 0;
  int64_t sampling_ratio = 0;  // samples per bin and axis; <= 0: ceil(box size / pooled size)
  bool aligned = false;        // shift boxes by half a feature pixel
};

// Pooling boxes [K, 5] from features [N, C, H, W] to [K, C, PH, PW].
struct Geometry : RoiParams {
  int64_t images, channels, height, width;  // N, C, H, W
  int64_t boxes;                            // K
  bool channels_last;                       // of features, output and their gradients

  Geometry(const RoiParams& params, at::IntArrayRef size, int64_t boxes, bool channels_last)
      : RoiParams(params),
        images(size[0]),
        channels(size[1]),
        height(size[2]),
        width(size[3]),
        boxes(boxes),
        channels_last(channels_last) {}

  C10_HOST_DEVICE int64_t bins() const {
    return pooled_height * pooled_width;
  }
  int64_t outputs() const {
    return boxes * channels * bins();
  }
};

// The same for the gradient `grad` [K, C, PH, PW], which knows the pooled size.
inline Geometry backward_geometry(
    RoiParams params, at::IntArrayRef input_size, const at::Tensor& grad, bool channels_last) {
  params.pooled_height = grad.size(2);
  params.pooled_width = grad.size(3);
  return {params, input_size, grad.size(0), channels_last};
}

// Kernels take RoiParams; the dispatcher calls them with the list of the schema. `Listed<S, kernel>`
// is `kernel` with the signature S.
template <typename Signature, auto kernel>
struct Listed;

template <typename R, typename... Params, auto kernel>
struct Listed<R(const at::Tensor&, const at::Tensor&, Params...), kernel> {
  static R call(const at::Tensor& features, const at::Tensor& boxes, Params... params) {
    return kernel(features, boxes, RoiParams{params...});
  }
};

}  // namespace step
