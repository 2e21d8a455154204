// NMS of all classes of an image at once: which boxes overlap is worked out once, as one row of bits
// per box, and every class then only ors rows together.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "../common/checks.h"
#include "../common/vectorize.h"
#include "nms.h"

namespace step {
namespace {

using Word = uint64_t;
constexpr int64_t kBits = 64;

// Boxes by coordinate: what the inner loop reads lies together.
template <typename T>
struct Columns {
  std::vector<T> x1, y1, x2, y2, area;

  Columns(const T* boxes, int64_t count) : x1(count), y1(count), x2(count), y2(count), area(count) {
    for (int64_t i = 0; i < count; ++i) {
      const T* box = boxes + 4 * i;
      x1[i] = box[0], y1[i] = box[1], x2[i] = box[2], y2[i] = box[3];
      area[i] = (box[2] - box[0]) * (box[3] - box[1]);
    }
  }
};

// above[j] says whether the IoU of box i and box j is above the threshold.
struct CompareBox {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const Columns<T>* boxes,
      int64_t i,
      int64_t count,
      T threshold,
      uint8_t* STEP_RESTRICT above) {
    const T* STEP_RESTRICT x1 = boxes->x1.data();
    const T* STEP_RESTRICT y1 = boxes->y1.data();
    const T* STEP_RESTRICT x2 = boxes->x2.data();
    const T* STEP_RESTRICT y2 = boxes->y2.data();
    const T* STEP_RESTRICT area = boxes->area.data();
    const T left = x1[i], top = y1[i], right = x2[i], bottom = y2[i], own = area[i];
    for (int64_t j = 0; j < count; ++j) {
      const T w = (right < x2[j] ? right : x2[j]) - (left > x1[j] ? left : x1[j]);
      const T h = (bottom < y2[j] ? bottom : y2[j]) - (top > y1[j] ? top : y1[j]);
      const T intersection = (w > T(0) ? w : T(0)) * (h > T(0) ? h : T(0));
      above[j] = intersection / (own + area[j] - intersection) > threshold;
    }
  }
};

// The overlaps of M boxes: bit j of row i says that their IoU is above the threshold.
class Overlaps {
 public:
  template <typename T>
  Overlaps(const T* boxes, int64_t count, T threshold)
      : words_((count + kBits - 1) / kBits), bits_(count * words_, 0) {
    const Columns<T> columns(boxes, count);
    const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, count));
    at::parallel_for(0, count, grain, [&](int64_t first, int64_t last) {
      std::vector<uint8_t> above(count);
      for (int64_t i = first; i < last; ++i) {
        run_vectorized<CompareBox>(&columns, i, count, threshold, above.data());
        Word* row = bits_.data() + i * words_;
        for (int64_t j = 0; j < count; ++j) {
          row[j / kBits] |= Word(above[j]) << (j % kBits);
        }
      }
    });
  }

  int64_t words() const {
    return words_;
  }

  const Word* row(int64_t i) const {
    return bits_.data() + i * words_;
  }

 private:
  int64_t words_;
  std::vector<Word> bits_;
};

// A score and whose it is, to be sorted: descending scores, ties in order of index.
template <typename T>
struct Ranked {
  T negative;
  int64_t index;

  bool operator<(const Ranked& other) const {
    return negative != other.negative ? negative < other.negative : index < other.index;
  }
};

// In one word for float32: half of the time goes into sorting.
template <>
struct Ranked<float> {
  uint64_t key;

  bool operator<(const Ranked& other) const {
    return key < other.key;
  }
};

inline Ranked<double> rank(double score, int64_t index) {
  return {-score, index};
}

inline Ranked<float> rank(float score, int64_t index) {
  const float negative = 0.0f - score;  // never -0, which has other bits than 0
  uint32_t bits;
  std::memcpy(&bits, &negative, sizeof(bits));
  // Floats in order are their bits in order, if those below zero are turned around.
  bits ^= bits >> 31 ? 0xffffffffu : 0x80000000u;
  return {static_cast<uint64_t>(bits) << 32 | static_cast<uint64_t>(index)};
}

inline int64_t index_of(const Ranked<float>& ranked) {
  return static_cast<int64_t>(ranked.key & 0xffffffffu);
}

inline int64_t index_of(const Ranked<double>& ranked) {
  return ranked.index;
}

// `spare` is room for as many elements, for sorts that need it.
inline void sort_ranked(std::vector<Ranked<double>>& order, std::vector<Ranked<double>>& spare) {
  (void)spare;
  std::sort(order.begin(), order.end());
}

// Radix sort of the scores, a byte at a time from the lowest. It keeps equal ones in their order,
// which is that of the index: the lower half of the key is never looked at.
inline void sort_ranked(std::vector<Ranked<float>>& order, std::vector<Ranked<float>>& spare) {
  constexpr int kDigits = 4, kValues = 256;
  if (order.size() < 64) {  // counting costs more than it saves
    std::sort(order.begin(), order.end());
    return;
  }
  const auto digit = [](const Ranked<float>& ranked, int d) {
    return ranked.key >> (32 + 8 * d) & (kValues - 1);
  };
  uint32_t begin[kDigits][kValues] = {};
  for (const auto& ranked : order) {
    for (int d = 0; d < kDigits; ++d) {
      ++begin[d][digit(ranked, d)];
    }
  }
  spare.resize(order.size());
  for (int d = 0; d < kDigits; ++d) {
    uint32_t next = 0;
    for (auto& entry : begin[d]) {
      next += std::exchange(entry, next);
    }
    for (const auto& ranked : order) {
      spare[begin[d][digit(ranked, d)]++] = ranked;
    }
    order.swap(spare);
  }
}

// What every class needs room for.
template <typename T>
struct Scratch {
  std::vector<Ranked<T>> order, spare;
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
      order.push_back(rank(scores[i * stride], i));
    }
  }
  sort_ranked(order, scratch.spare);
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
        Scratch<scalar_t> scratch{{}, {}, std::vector<Word>(overlaps.words())};
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
