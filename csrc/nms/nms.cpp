// NMS: schema. How many boxes stay is known only from the values; the shape kernel that says so to
// torch.compile needs Python's symbolic integers and is registered in utils/ops/_backend.py.
#include "nms.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace step {

at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("step::nms", "").typed<decltype(nms)>();
  return op.call(boxes, scores, iou_threshold);
}

}  // namespace step

TORCH_LIBRARY_FRAGMENT(step, m) {
  m.def(
      "nms(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor",
      {at::Tag::pt2_compliant_tag, at::Tag::dynamic_output_shape});
}
