// RoI max pooling: schema, shape kernel and autograd.
#include "roi_pool.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/autograd.h>
#include <torch/library.h>

#include "../common/checks.h"

namespace step {

std::tuple<at::Tensor, at::Tensor> roi_pool(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("step::roi_pool", "")
                             .typed<decltype(roi_pool)>();
  return op.call(features, boxes, spatial_scale, pooled_height, pooled_width);
}

at::Tensor roi_pool_backward(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    bool channels_last) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("step::_roi_pool_backward", "")
                             .typed<decltype(roi_pool_backward)>();
  return op.call(grad, argmax, boxes, input_size, channels_last);
}

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

std::tuple<at::Tensor, at::Tensor> roi_pool_meta(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double /*spatial_scale*/,
    int64_t pooled_height,
    int64_t pooled_width) {
  check_roi_inputs(features, boxes, pooled_height, pooled_width);
  const auto options = features.options().memory_format(memory_format(is_channels_last(features)));
  const std::vector<c10::SymInt> size{
      boxes.sym_size(0), features.sym_size(1), pooled_height, pooled_width};
  return {at::empty_symint(size, options), at::empty_symint(size, options.dtype(at::kInt))};
}

at::Tensor roi_pool_backward_meta(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    bool channels_last) {
  check_roi_gradient(grad, boxes, input_size);
  check_argmax(grad, argmax);
  return at::empty_symint(
      input_size, grad.options().memory_format(memory_format(channels_last)));
}

// The gradient is an operator of its own, so that compiled graphs can hold it.
class RoiPoolBackward : public torch::autograd::Function<RoiPoolBackward> {
 public:
  static Variable forward(
      AutogradContext* /*ctx*/,
      const Variable& grad,
      const Variable& argmax,
      const Variable& boxes,
      c10::SymIntArrayRef input_size,
      bool channels_last) {
    at::AutoDispatchBelowADInplaceOrView guard;
    return roi_pool_backward(grad, argmax, boxes, input_size, channels_last);
  }

  static variable_list backward(AutogradContext* /*ctx*/, const variable_list& /*grads*/) {
    TORCH_CHECK_NOT_IMPLEMENTED(false, "roi_pool has no second derivative");
  }
};

class RoiPool : public torch::autograd::Function<RoiPool> {
 public:
  static variable_list forward(
      AutogradContext* ctx,
      const Variable& features,
      const Variable& boxes,
      double spatial_scale,
      int64_t pooled_height,
      int64_t pooled_width) {
    at::AutoDispatchBelowADInplaceOrView guard;
    const auto [output, argmax] =
        roi_pool(features, boxes, spatial_scale, pooled_height, pooled_width);
    ctx->save_for_backward({argmax, boxes});
    ctx->mark_non_differentiable({argmax});
    ctx->saved_data["input_size"] = features.sym_sizes();
    ctx->saved_data["channels_last"] = is_channels_last(features);
    return {output, argmax};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto grad_features = roi_pool_backward(
        grads[0],
        saved[0],
        saved[1],
        ctx->saved_data["input_size"].toSymIntVector(),
        ctx->saved_data["channels_last"].toBool());
    // Of the five arguments only the features get a gradient; boxes do not.
    return {grad_features, {}, {}, {}, {}};
  }
};

std::tuple<at::Tensor, at::Tensor> roi_pool_autograd(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width) {
  const auto result = RoiPool::apply(features, boxes, spatial_scale, pooled_height, pooled_width);
  return {result[0], result[1]};
}

at::Tensor roi_pool_backward_autograd(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    bool channels_last) {
  return RoiPoolBackward::apply(grad, argmax, boxes, input_size, channels_last);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(step, m) {
  m.def(
      "roi_pool(Tensor features, Tensor boxes, float spatial_scale, int pooled_height, "
      "int pooled_width) -> (Tensor, Tensor)",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "_roi_pool_backward(Tensor grad, Tensor argmax, Tensor boxes, SymInt[] input_size, "
      "bool channels_last) -> Tensor",
      {at::Tag::pt2_compliant_tag});
}

TORCH_LIBRARY_IMPL(step, Meta, m) {
  m.impl("roi_pool", &roi_pool_meta);
  m.impl("_roi_pool_backward", &roi_pool_backward_meta);
}

TORCH_LIBRARY_IMPL(step, Autograd, m) {
  m.impl("roi_pool", &roi_pool_autograd);
  m.impl("_roi_pool_backward", &roi_pool_backward_autograd);
}

}  // namespace step
