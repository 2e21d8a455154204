// RoI max pooling: schema, shape kernel and autograd.
#include "roi_pool.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include "../common/checks.h"
#include "../common/operators.h"

namespace step {

void RoiPool::save(
    torch::autograd::AutogradContext* ctx,
    const at::Tensor& boxes,
    const torch::autograd::variable_list& results,
    const RoiParams& /*params*/) {
  ctx->save_for_backward({results[1], boxes});
  ctx->mark_non_differentiable({results[1]});
}

at::Tensor RoiPool::gradient(
    torch::autograd::AutogradContext* ctx,
    const at::Tensor& grad,
    c10::SymIntArrayRef input_size,
    bool channels_last) {
  const auto saved = ctx->get_saved_variables();
  return Dispatched<RoiPoolBackward>::call(grad, saved[0], saved[1], input_size, channels_last);
}

namespace {

std::tuple<at::Tensor, at::Tensor> roi_pool_meta(
    const at::Tensor& features, const at::Tensor& boxes, const RoiParams& params) {
  check_roi_inputs(features, boxes, params);
  const auto options = features.options().memory_format(memory_format(is_channels_last(features)));
  const std::vector<c10::SymInt> size{
      boxes.sym_size(0), features.sym_size(1), params.pooled_height, params.pooled_width};
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
  m.impl("roi_pool", &Listed<RoiPool::Signature, &roi_pool_meta>::call);
  m.impl("_roi_pool_backward", &roi_pool_backward_meta);
}

TORCH_LIBRARY_IMPL(step, Autograd, m) {
  m.impl("roi_pool", &AutogradKernel<Differentiable, RoiPool>::call);
  m.impl("_roi_pool_backward", &AutogradKernel<LastDerivative, RoiPoolBackward>::call);
}

}  // namespace step
