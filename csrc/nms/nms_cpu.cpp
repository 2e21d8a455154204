// NMS on the CPU: boxes sorted by score, one pass of vectorised overlaps per kept box.
#include "nms.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
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

// The order of descending scores, ties in order of index. NaN comes first, as at::argsort has it,
// before infinity: until all are sorted its index is a negative number.
template <typename T>
std::vector<int64_t> descending(const T* scores, int64_t count) {
  std::vector<std::pair<T, int64_t>> keys(count);
  for (int64_t i = 0; i < count; ++i) {
    keys[i] = {-scores[i], i};
    if (std::isnan(scores[i])) {
      keys[i] = {-std::numeric_limits<T>::infinity(), i - count};
    }
  }
  std::sort(keys.begin(), keys.end());
  std::vector<int64_t> order(count);
  std::transform(keys.begin(), keys.end(), order.begin(), [count](const auto& key) {
    return key.second < 0 ? key.second + count : key.second;
  });
  return order;
}

// boxes [M, 4] in `order`. Returns the boxes kept, by index.
template <typename T>
std::vector<int64_t> greedy(const T* boxes, const std::vector<int64_t>& order, T threshold) {
  const int64_t count = static_cast<int64_t>(order.size());
  std::vector<T> columns(5 * count);
  T* x1 = columns.data();
  T *y1 = x1 + count, *x2 = y1 + count, *y2 = x2 + count, *area = y2 + count;
  for (int64_t i = 0; i < count; ++i) {
    const T* box = boxes + 4 * order[i];
    x1[i] = box[0], y1[i] = box[1], x2[i] = box[2], y2[i] = box[3];
    area[i] = (box[2] - box[0]) * (box[3] - box[1]);
  }
  const SortedBoxes<T> sorted{x1, y1, x2, y2, area};
  std::vector<uint8_t> suppressed(count, 0);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < count; ++i) {
    if (!suppressed[i]) {
      kept.push_back(order[i]);
      run_vectorized<Suppress>(i, count, sorted, threshold, suppressed.data());
    }
  }
  return kept;
}

at::Tensor nms_cpu(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  check_nms_inputs(boxes, scores);
  const auto corners = boxes.to(compute_type(boxes)).contiguous();
  const auto values = scores.to(compute_type(scores)).contiguous();
  const int64_t count = scores.size(0);
  std::vector<int64_t> order, kept;
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "nms_cpu scores", [&] {
    order = descending(values.const_data_ptr<scalar_t>(), count);
  });
  AT_DISPATCH_FLOATING_TYPES(corners.scalar_type(), "nms_cpu", [&] {
    kept = greedy(
        corners.const_data_ptr<scalar_t>(), order, static_cast<scalar_t>(iou_threshold));
  });
  const auto size = static_cast<int64_t>(kept.size());
  const auto indices = at::empty({size}, boxes.options().dtype(at::kLong));
  std::copy(kept.begin(), kept.end(), indices.data_ptr<int64_t>());
  return indices;
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("nms", &nms_cpu);
}

}  // namespace step
