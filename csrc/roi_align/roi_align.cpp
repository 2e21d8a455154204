// RoI align: schema, shape kernel and autograd.
#include "roi_align.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include "../common/checks.h"
#include "../common/operators.h"

namespace step {

void RoiAlign::save(
    torch::autograd::AutogradContext* ctx,
    const at::Tensor& boxes,
    const torch::autograd::variable_list& /*results*/,
    const RoiParams& params) {
  ctx->save_for_backward({boxes});
  ctx->saved_data["spatial_scale"] = params.spatial_scale;
  ctx->saved_data["sampling_ratio"] = params.sampling_ratio;
  ctx->saved_data["aligned"] = params.aligned;
}

at::Tensor RoiAlign::gradient(
    torch::autograd::AutogradContext* ctx,
    const at::Tensor& grad,
    c10::SymIntArrayRef input_size,
    bool channels_last) {
  return Dispatched<RoiAlignBackward>::call(
      grad,
      ctx->get_saved_variables()[0],
      input_size,
      ctx->saved_data["spatial_scale"].toDouble(),
      ctx->saved_data["sampling_ratio"].toInt(),
      ctx->saved_data["aligned"].toBool(),
      channels_last);
}

namespace {

at::Tensor roi_align_meta(
    const at::Tensor& features, const at::Tensor& boxes, const RoiParams& params) {
  check_roi_inputs(features, boxes, params);
  return at::empty_symint(
      {boxes.sym_size(0), features.sym_size(1), params.pooled_height, params.pooled_width},
      features.options().memory_format(memory_format(is_channels_last(features))));
}

at::Tensor roi_align_backward_meta(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    c10::SymIntArrayRef input_size,
    const RoiParams& params,
    bool channels_last) {
  check_roi_gradient(grad, boxes, input_size);
  check_sampling_ratio(params.sampling_ratio);
  return at::empty_symint(
      input_size, grad.options().memory_format(memory_format(channels_last)));
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
  m.impl("roi_align", &Listed<RoiAlign::Signature, &roi_align_meta>::call);
  m.impl(
      "_roi_align_backward", &listed_backward<&roi_align_backward_meta, c10::SymIntArrayRef>);
}

TORCH_LIBRARY_IMPL(step, Autograd, m) {
  m.impl("roi_align", &AutogradKernel<Differentiable, RoiAlign>::call);
  m.impl("_roi_align_backward", &AutogradKernel<LastDerivative, RoiAlignBackward>::call);
}

}  // namespace step
