// A box as two sparse matrices, what RoI align on the CPU works with in both directions.
//
// The samples of a bin form a grid and a bilinear weight is a product of one weight per axis, so
// the mean over the samples is out = R F Q^T with a sparse matrix per axis: R [PH, H] and
// Q [PW, W]. A box therefore costs one sweep along the rows and one along the columns instead of
// four reads per sample.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

#include "../common/checks.h"
#include "../common/roi.h"
#include "../common/vectorize.h"
#include "sampling.h"

namespace step {

// Channels handled by one task: a bin row of partial sums stays in the first-level cache.
constexpr int64_t kChannelBlock = 128;
// Multiply-adds below which another thread costs more than it saves.
constexpr int64_t kGrainOperations = 1 << 17;

// A sparse matrix [bins, extent]: bin b has the entries begin[b] .. begin[b + 1].
template <typename T>
struct Taps {
  std::vector<int32_t> begin;
  std::vector<int32_t> index;
  std::vector<T> weight;
};

// A box as its two matrices. Columns no sample touches are left out: cols.index counts in
// `touched_columns`, the sorted list of those that are. Rows likewise, where the caller asks.
template <typename T>
struct BoxTaps {
  int64_t image;
  Taps<T> rows;
  Taps<T> cols;
  std::vector<int32_t> touched_rows;
  std::vector<int32_t> touched_columns;

  int64_t height() const {
    return static_cast<int64_t>(touched_rows.size());
  }
  int64_t width() const {
    return static_cast<int64_t>(touched_columns.size());
  }
  bool is_dense() const {
    return width() > 0 && touched_columns.back() - touched_columns.front() + 1 == width();
  }
};

// Samples come in ascending order, so an index seen before is one of the last two.
template <typename T>
void add_tap(Taps<T>& taps, int64_t index, T weight) {
  if (weight == T(0)) {
    return;
  }
  const auto bin_begin = static_cast<size_t>(taps.begin.back());
  const size_t end = taps.index.size();
  for (size_t i = end; i > bin_begin && i + 2 > end; --i) {
    if (taps.index[i - 1] == index) {
      taps.weight[i - 1] += weight;
      return;
    }
  }
  taps.index.push_back(static_cast<int32_t>(index));
  taps.weight.push_back(weight);
}

template <typename T>
Taps<T> make_taps(const Axis<T>& axis, int64_t bins, int64_t extent) {
  Taps<T> taps;
  taps.begin.reserve(bins + 1);
  taps.begin.push_back(0);
  for (int64_t bin = 0; bin < bins; ++bin) {
    const auto range = sample_range(axis, bin, extent);
    for (int64_t sample = range.first; sample < range.last; ++sample) {
      Neighbors<T> at;
      if (find_neighbors(sample_position(axis, bin, sample), extent, at)) {
        add_tap(taps, at.low, at.low_weight / T(axis.grid));
        add_tap(taps, at.high, at.high_weight / T(axis.grid));
      }
    }
    taps.begin.push_back(static_cast<int32_t>(taps.index.size()));
  }
  return taps;
}

// Renumbers the indices by their rank, and returns the sorted list of the old ones.
template <typename T>
std::vector<int32_t> compact(Taps<T>& taps) {
  std::vector<int32_t> touched = taps.index;
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (auto& index : taps.index) {
    const auto at = std::lower_bound(touched.begin(), touched.end(), index);
    index = static_cast<int32_t>(at - touched.begin());
  }
  return touched;
}

template <typename T>
std::vector<BoxTaps<T>> make_boxes(const at::Tensor& boxes, const Geometry& g, bool compact_rows) {
  check_image_indices<T>(boxes, g.images);
  const T* data = boxes.const_data_ptr<T>();
  std::vector<BoxTaps<T>> result(boxes.size(0));
  at::parallel_for(0, boxes.size(0), 64, [&](int64_t begin, int64_t end) {
    const T scale = static_cast<T>(g.spatial_scale);
    for (int64_t k = begin; k < end; ++k) {
      const T* box = data + k * 5;
      auto& taps = result[k];
      taps.image = static_cast<int64_t>(box[0]);
      const auto x = make_axis(box[1], box[3], scale, g.pooled_width, g.sampling_ratio, g.aligned);
      const auto y = make_axis(box[2], box[4], scale, g.pooled_height, g.sampling_ratio, g.aligned);
      taps.rows = make_taps(y, g.pooled_height, g.height);
      taps.cols = make_taps(x, g.pooled_width, g.width);
      taps.touched_columns = compact(taps.cols);
      if (compact_rows) {
        taps.touched_rows = compact(taps.rows);
      }
    }
  });
  return result;
}

// One row of a sparse matrix.
template <typename T>
struct SparseRow {
  const int32_t* index;
  const T* weight;
  int64_t size;
};

template <typename T>
STEP_INLINE SparseRow<T> sparse_row(const Taps<T>& taps, int64_t bin) {
  const int32_t first = taps.begin[bin];
  return {taps.index.data() + first, taps.weight.data() + first, taps.begin[bin + 1] - first};
}

// Strides of the features in elements; the dense dimension has none.
struct Strides {
  int64_t channel, row, column;
};

// Where channel `channel` of item `item` begins in a dense [items, channels, PH, PW] tensor.
inline int64_t pooled_offset(const Geometry& g, int64_t item, int64_t channel) {
  return item * g.channels * g.bins() + channel * (g.channels_last ? 1 : g.bins());
}

// Tasks per thread at least, for tasks of so many channels (times boxes).
inline int64_t grain_size(const Geometry& g, int64_t channels) {
  const int64_t operations = g.bins() * channels * 8;
  return std::max<int64_t>(1, kGrainOperations / operations);
}

}  // namespace step
