// RoI align: schema, shape kernel and autograd.
#include "roi_align.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/autograd.h>
#include <torch/library.h>

#include "../common/checks.h"

namespace step {

at::Tensor roi_align(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width,
    int64_t sampling_ratio,
    bool aligned) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("step::roi_align", "")
                             .typed<decltype(roi_align)>();
  return op.call(
      features, boxes, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned);
}

at::Tensor roi_align_backward(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    double spatial_scale,
    int64_t sampling_ratio,
    bool aligned,
    bool channels_last) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("step::_roi_align_backward", "")
                             .typed<decltype(roi_align_backward)>();
  return op.call(grad, boxes, input_size, spatial_scale, sampling_ratio, aligned, channels_last);
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

at::Tensor roi_align_meta(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double /*spatial_scale*/,
    int64_t pooled_height,
    int64_t pooled_width,
    int64_t sampling_ratio,
    bool /*aligned*/) {
  check_roi_inputs(features, boxes, pooled_height, pooled_width);
  check_sampling_ratio(sampling_ratio);
  return at::empty_symint(
      {boxes.sym_size(0), features.sym_size(1), pooled_height, pooled_width},
      features.options().memory_format(memory_format(is_channels_last(features))));
}

at::Tensor roi_align_backward_meta(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    double /*spatial_scale*/,
    int64_t sampling_ratio,
    bool /*aligned*/,
    bool channels_last) {
  check_roi_gradient(grad, boxes, input_size);
  check_sampling_ratio(sampling_ratio);
  return at::empty_symint(
      input_size, grad.options().memory_format(memory_format(channels_last)));
}

// The gradient is an operator of its own, so that compiled graphs can hold it.
class RoiAlignBackward : public torch::autograd::Function<RoiAlignBackward> {
 public:
  static Variable forward(
      AutogradContext* /*ctx*/,
      const Variable& grad,
      const Variable& boxes,
      c10::SymIntArrayRef input_size,
      double spatial_scale,
      int64_t sampling_ratio,
      bool aligned,
      bool channels_last) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return roi_align_backward(
        grad, boxes, input_size, spatial_scale, sampling_ratio, aligned, channels_last);
  }

  static variable_list backward(AutogradContext* /*ctx*/, const variable_list& /*grads*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, "roi_align has no second derivative");
  }
};

class RoiAlign : public torch::autograd::Function<RoiAlign> {
 public:
  static Variable forward(
      AutogradContext* ctx,
      const Variable& features,
      const Variable& boxes,
      double spatial_scale,
      int64_t pooled_height,
      int64_t pooled_width,
      int64_t sampling_ratio,
      bool aligned) {
    at::AutoDispatchBelowADInplaceOrView guard;
    const auto output = roi_align(
        features, boxes, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned);
    ctx->save_for_backward({boxes});
    ctx->saved_data["input_size"] = features.sym_sizes();
    ctx->saved_data["spatial_scale"] = spatial_scale;
    ctx->saved_data["sampling_ratio"] = sampling_ratio;
    ctx->saved_data["aligned"] = aligned;
    ctx->saved_data["channels_last"] = is_channels_last(features);
    return output;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto grad_features = roi_align_backward(
        grads[0],
        ctx->get_saved_variables()[0],
        ctx->saved_data["input_size"].toSymIntVector(),
        ctx->saved_data["spatial_scale"].toDouble(),
        ctx->saved_data["sampling_ratio"].toInt(),
        ctx->saved_data["aligned"].toBool(),
        ctx->saved_data["channels_last"].toBool());
    // Of the seven arguments only the features get a gradient; boxes do not.
    return {grad_features, {}, {}, {}, {}, {}, {}};
  }
};

at::Tensor roi_align_autograd(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width,
    int64_t sampling_ratio,
    bool aligned) {
  return RoiAlign::apply(
      features, boxes, spatial_scale, pooled_height, pooled_width, sampling_ratio, aligned);
}

at::Tensor roi_align_backward_autograd(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    double spatial_scale,
    int64_t sampling_ratio,
    bool aligned,
    bool channels_last) {
  return RoiAlignBackward::apply(
      grad, boxes, input_size, spatial_scale, sampling_ratio, aligned, channels_last);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(step, m) {
  m.def(
      "roi_align(Tensor features, Tensor boxes, float spatial_scale, int pooled_height, "
      "int pooled_width, int sampling_ratio, bool aligned) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "_roi_align_backward(Tensor grad, Tensor boxes, SymInt[] input_size, float spatial_scale, "
      "int sampling_ratio, bool aligned, bool channels_last) -> Tensor",
      {at::Tag::pt2_compliant_tag});
}

TORCH_LIBRARY_IMPL(step, Meta, m) {
  m.impl("roi_align", &roi_align_meta);
  m.impl("_roi_align_backward", &roi_align_backward_meta);
}

TORCH_LIBRARY_IMPL(step, Autograd, m) {
  m.impl("roi_align", &roi_align_autograd);
  m.impl("_roi_align_backward", &roi_align_backward_autograd);
}

}  // namespace step
