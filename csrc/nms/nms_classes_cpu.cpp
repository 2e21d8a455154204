// NMS of all classes of an image at once: which boxes overlap is worked out once, as one row of bits
// per box, and every class then only ors rows together.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "../common/checks.h"
#include "nms.h"

namespace step {
namespace {

using Word = uint64_t;
constexpr int64_t kBits = 64;

// The overlaps of M boxes: bit j of row i says that their IoU is above the threshold.
class Overlaps {
 public:
  template <typename T>
  Overlaps(const T* boxes, int64_t count, T threshold)
      : words_((count + kBits - 1) / kBits), bits_(count * words_, 0) {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = i + 1; j < count; ++j) {
        if (iou(boxes + 4 * i, boxes + 4 * j) > threshold) {
          mark(i, j);
          mark(j, i);
        }
      }
    }
  }

  int64_t words() const {
    return words_;
  }

  const Word* row(int64_t i) const {
    return bits_.data() + i * words_;
  }

 private:
  template <typename T>
  static T iou(const T* a, const T* b) {
    const T w = std::min(a[2], b[2]) - std::max(a[0], b[0]);
    const T h = std::min(a[3], b[3]) - std::max(a[1], b[1]);
    const T intersection = (w > T(0) ? w : T(0)) * (h > T(0) ? h : T(0));
    const T areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]);
    return intersection / (areas - intersection);
  }

  void mark(int64_t i, int64_t j) {
    bits_[i * words_ + j / kBits] |= Word(1) << (j % kBits);
  }

  int64_t words_;
  std::vector<Word> bits_;
};

// A score and whose it is, to be sorted: descending scores, ties in order of index.
template <typename T>
struct Ranked {
  T negative;
  int64_t index;

  Ranked(T score, int64_t i) : negative(-score), index(i) {}

  bool operator<(const Ranked& other) const {
    return negative != other.negative ? negative < other.negative : index < other.index;
  }
};

// In one word for float32: comparing it is one instruction, and half of the time goes into sorting.
template <>
struct Ranked<float> {
  uint64_t key;

  Ranked(float score, int64_t i) {
    const float negative = 0.0f - score;  // never -0, which has other bits than 0
    uint32_t bits;
    std::memcpy(&bits, &negative, sizeof(bits));
    // Floats in order are their bits in order, if those below zero are turned around.
    bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;
    key = static_cast<uint64_t>(bits) << 32 | static_cast<uint64_t>(i);
  }

  bool operator<(const Ranked& other) const {
    return key < other.key;
  }
};

inline int64_t index_of(const Ranked<float>& ranked) {
  return static_cast<int64_t>(ranked.key & 0xffffffffu);
}

inline int64_t index_of(const Ranked<double>& ranked) {
  return ranked.index;
}

// What every class needs room for.
template <typename T>
struct Scratch {
  std::vector<Ranked<T>> order;
  std::vector<Word> suppressed;
};

// One class: its scores [M] lie `stride` apart, as does what is kept.
template <typename T>
void keep_class(
    const T* scores,
    int64_t count,
    int64_t stride,
    T score_threshold,
    const Overlaps& overlaps,
    Scratch<T>& scratch,
    bool* kept) {
  auto& order = scratch.order;
  auto& suppressed = scratch.suppressed;
  order.clear();
  for (int64_t i = 0; i < count; ++i) {
    if (scores[i * stride] > score_threshold) {
      order.emplace_back(scores[i * stride], i);
    }
  }
  std::sort(order.begin(), order.end());
  std::fill(suppressed.begin(), suppressed.end(), Word(0));
  for (const auto& ranked : order) {
    const int64_t i = index_of(ranked);
    if (suppressed[i / kBits] >> (i % kBits) & 1) {
      continue;
    }
    kept[i * stride] = true;
    const Word* row = overlaps.row(i);
    for (int64_t w = 0; w < overlaps.words(); ++w) {
      suppressed[w] |= row[w];
    }
  }
}

at::Tensor nms_classes_cpu(
    const at::Tensor& boxes,
    const at::Tensor& scores,
    double iou_threshold,
    double score_threshold) {
  check_nms_classes_inputs(boxes, scores);
  const int64_t count = scores.size(0), classes = scores.size(1);
  TORCH_CHECK_VALUE(count < int64_t(1) << 32, "too many boxes: ", count);
  const auto kept = at::zeros({count, classes}, scores.options().dtype(at::kBool));
  const auto corners = boxes.to(compute_type(boxes)).contiguous();
  const auto values = scores.to(compute_type(scores)).contiguous();
  AT_DISPATCH_FLOATING_TYPES(corners.scalar_type(), "nms_classes_cpu", [&] {
    const Overlaps overlaps(
        corners.const_data_ptr<scalar_t>(), count, static_cast<scalar_t>(iou_threshold));
    AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "nms_classes_cpu scores", [&] {
      const auto least = static_cast<scalar_t>(score_threshold);
      const scalar_t* all = values.const_data_ptr<scalar_t>();
      bool* keep = kept.data_ptr<bool>();
      // Enough classes to a thread that starting it pays.
      const int64_t grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, count));
      at::parallel_for(0, classes, grain, [&](int64_t first, int64_t last) {
        Scratch<scalar_t> scratch{{}, std::vector<Word>(overlaps.words())};
        scratch.order.reserve(count);
        for (int64_t c = first; c < last; ++c) {
          keep_class(all + c, count, classes, least, overlaps, scratch, keep + c);
        }
      });
    });
  });
  return kept;
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("nms_classes", &nms_classes_cpu);
}

}  // namespace step
