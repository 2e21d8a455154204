// NMS on the CPU: boxes sorted by score, one pass of vectorised overlaps per kept box.
#include "nms.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "../common/checks.h"
#include "../common/vectorize.h"

namespace step {
namespace {

// Boxes by coordinate, sorted: what the inner loop reads lies together.
template <typename T>
struct SortedBoxes {
  const T* x1;
  const T* y1;
  const T* x2;
  const T* y2;
  const T* area;
};

// Marks what box i suppresses among the boxes after it. Branches would stop the vectoriser, so
// boxes that are out already are computed once more.
template <typename T>
STEP_INLINE void suppress_after(
    int64_t i, int64_t count, SortedBoxes<T> b, T threshold, uint8_t* STEP_RESTRICT suppressed) {
  const T* STEP_RESTRICT x1 = b.x1;
  const T* STEP_RESTRICT y1 = b.y1;
  const T* STEP_RESTRICT x2 = b.x2;
  const T* STEP_RESTRICT y2 = b.y2;
  const T* STEP_RESTRICT area = b.area;
  const T left = x1[i], top = y1[i], right = x2[i], bottom = y2[i], own = area[i];
  for (int64_t j = i + 1; j < count; ++j) {
    const T w = (right < x2[j] ? right : x2[j]) - (left > x1[j] ? left : x1[j]);
    const T h = (bottom < y2[j] ? bottom : y2[j]) - (top > y1[j] ? top : y1[j]);
    const T intersection = (w > T(0) ? w : T(0)) * (h > T(0) ? h : T(0));
    const T iou = intersection / (own + area[j] - intersection);
    suppressed[j] |= static_cast<uint8_t>(iou > threshold);
  }
}

struct Suppress {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      int64_t i, int64_t count, SortedBoxes<T> boxes, T threshold, uint8_t* suppressed) {
    suppress_after(i, count, boxes, threshold, suppressed);
  }
};

// boxes [5, M]: x1, y1, x2, y2, area, sorted by score. Returns the kept positions.
template <typename T>
std::vector<int64_t> greedy(const at::Tensor& boxes, T threshold) {
  const int64_t count = boxes.size(1);
  const T* data = boxes.const_data_ptr<T>();
  const SortedBoxes<T> sorted{
      data, data + count, data + 2 * count, data + 3 * count, data + 4 * count};
  std::vector<uint8_t> suppressed(count, 0);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count; ++i) {
    if (!suppressed[i]) {
      kept.push_back(i);
      run_vectorized<Suppress>(i, count, sorted, threshold, suppressed.data());
    }
  }
  return kept;
}

at::Tensor nms_cpu(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  check_nms_inputs(boxes, scores);
  if (boxes.size(0) == 0) {
    return at::empty({0}, boxes.options().dtype(at::kLong));
  }
  const auto type = compute_type(boxes);
  const auto order = scores.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto corners = boxes.to(type).index_select(0, order).t();
  const auto area = (corners[2] - corners[0]) * (corners[3] - corners[1]);
  const auto sorted = at::cat({corners, area.unsqueeze(0)}).contiguous();
  std::vector<int64_t> kept;
  AT_DISPATCH_FLOATING_TYPES(type, "nms_cpu", [&] {
    kept = greedy<scalar_t>(sorted, static_cast<scalar_t>(iou_threshold));
  });
  return order.index_select(0, at::tensor(kept, at::kLong));
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("nms", &nms_cpu);
}

}  // namespace step
