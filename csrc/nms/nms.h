// Greedy non-maximum suppression.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

namespace step {

// boxes [M, 4] = (x1, y1, x2, y2), scores [M] -> the indices (int64) of the kept boxes in order of
// descending score, ties in order of index. A box falls if its IoU with a kept box before it is
// greater than the threshold, which is compared in the boxes' own precision.
at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold);

// The same for every class c on its scores[:, c] above score_threshold, scores [M, C] -> bool [M, C],
// what is kept. Overlaps are computed once for all classes.
at::Tensor nms_classes(
    const at::Tensor& boxes,
    const at::Tensor& scores,
    double iou_threshold,
    double score_threshold);

// What both ask of boxes [M, 4] and scores, whose shape is checked by each for itself.
inline void check_boxes_and_scores(const at::Tensor& boxes, const at::Tensor& scores) {
  TORCH_CHECK_VALUE(
      boxes.dim() == 2 && boxes.sym_size(1) == 4,
      "boxes must be [M, 4] = (x1, y1, x2, y2), got ", boxes.sym_sizes());
  TORCH_CHECK_VALUE(
      boxes.is_floating_point() && scores.is_floating_point(),
      "boxes and scores must be floating point, got ",
      boxes.scalar_type(), " and ", scores.scalar_type());
  TORCH_CHECK_VALUE(
      boxes.device() == scores.device(),
      "boxes and scores must be on one device, got ", boxes.device(), " and ", scores.device());
}

inline void check_nms_inputs(const at::Tensor& boxes, const at::Tensor& scores) {
  check_boxes_and_scores(boxes, scores);
  TORCH_CHECK_VALUE(
      scores.dim() == 1 && scores.size(0) == boxes.size(0),
      "scores must be [", boxes.size(0), "], one for each box, got ", scores.sizes());
}

// Sizes may be symbols here: torch.compile learns the shape of the result from the arguments'.
inline void check_nms_classes_inputs(const at::Tensor& boxes, const at::Tensor& scores) {
  check_boxes_and_scores(boxes, scores);
  TORCH_CHECK_VALUE(
      scores.dim() == 2 && scores.sym_size(0) == boxes.sym_size(0),
      "scores must be [", boxes.sym_size(0), ", C], a row for each box, got ", scores.sym_sizes());
}

}  // namespace step
