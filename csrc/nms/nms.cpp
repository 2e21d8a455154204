// NMS: schema. How many boxes stay is known only from the values; the shape kernel that says so to
// torch.compile needs Python's symbolic integers and is registered in utils/ops/_backend.py.
#include "nms.h"

#include <ATen/Functions.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace step {

at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("step::nms", "").typed<decltype(nms)>();
  return op.call(boxes, scores, iou_threshold);
}

at::Tensor nms_classes(
    const at::Tensor& boxes,
    const at::Tensor& scores,
    double iou_threshold,
    double score_threshold) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("step::nms_classes", "")
                             .typed<decltype(nms_classes)>();
  return op.call(boxes, scores, iou_threshold, score_threshold);
}

namespace {

at::Tensor nms_classes_meta(
    const at::Tensor& boxes, const at::Tensor& scores, double, double) {
  check_nms_classes_inputs(boxes, scores);
  return at::empty_symint(scores.sym_sizes(), scores.options().dtype(at::kBool));
}

}  // namespace
}  // namespace step

TORCH_LIBRARY_FRAGMENT(step, m) {
  m.def(
      "nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor",
      {at::Tag::pt2_compliant_tag, at::Tag::dynamic_output_shape});
  m.def(
      "nms_classes(Tensor boxes, Tensor scores, float iou_threshold, float score_threshold) -> "
      "Tensor",
      {at::Tag::pt2_compliant_tag});
}

TORCH_LIBRARY_IMPL(step, Meta, m) {
  m.impl("nms_classes", &step::nms_classes_meta);
}
