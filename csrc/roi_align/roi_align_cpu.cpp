// RoI align on the CPU.
//
// The samples of a bin form a grid and a bilinear weight is a product of one weight per axis, so
// the mean over the samples is out = R F Q^T with a sparse matrix per axis: R [PH, H] and
// Q [PW, W]. A box therefore costs one sweep along the rows and one along the columns instead of
// four reads per sample. Both sweeps are vectorised over channels; features in channels-first order
// are therefore transposed on the fly, a box and some channels at a time.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "../common/checks.h"
#include "../common/vectorize.h"
#include "sampling.h"

namespace step {
namespace {

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

struct Geometry {
  int64_t images, channels, height, width;
  int64_t pooled_height, pooled_width;
  double spatial_scale;
  int64_t sampling_ratio;
  bool aligned;
};

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

#if defined(__GNUC__)
// Two vectors of out at a time, so that an index is loaded once for both.
template <int Bytes, typename T>
STEP_INLINE void gather_vectors(T* out, const T* in, SparseRow<T> row, int64_t stride) {
  using V = Vector<T, Bytes>;
  V first = {}, second = {};
  for (int64_t t = 0; t < row.size; ++t) {
    const V* source = reinterpret_cast<const V*>(in + row.index[t] * stride);
    first += row.weight[t] * source[0];
    second += row.weight[t] * source[1];
  }
  reinterpret_cast<V*>(out)[0] = first;
  reinterpret_cast<V*>(out)[1] = second;
}
#endif

template <typename T>
STEP_INLINE T gather_one(const T* in, SparseRow<T> row, int64_t stride) {
  T sum = 0;
  for (int64_t t = 0; t < row.size; ++t) {
    sum += row.weight[t] * in[row.index[t] * stride];
  }
  return sum;
}

// out[i] = sum_t weight[t] * in[index[t] * stride + i] for i < count.
template <int Bytes, typename T>
STEP_INLINE void gather(
    T* STEP_RESTRICT out,
    const T* STEP_RESTRICT in,
    SparseRow<T> row,
    int64_t stride,
    int64_t count) {
  int64_t i = 0;
#if defined(__GNUC__)
  constexpr int64_t wide = 2 * Bytes / sizeof(T), narrow = 2 * 16 / sizeof(T);
  for (; i + wide <= count; i += wide) {
    gather_vectors<Bytes>(out + i, in + i, row, stride);
  }
  for (; i + narrow <= count; i += narrow) {
    gather_vectors<16>(out + i, in + i, row, stride);
  }
#endif
  for (; i < count; ++i) {
    out[i] = gather_one(in + i, row, stride);
  }
}

template <typename T>
STEP_INLINE void add_scaled(T* STEP_RESTRICT out, const T* STEP_RESTRICT in, T weight, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] += weight * in[i];
  }
}

// Strides of the features in elements; the dense dimension has none.
struct Strides {
  int64_t channel, row, column;
};

// `in` is the first of `count` channels of the box's image, `out` of its output
// [PH, PW, channels]; scratch [width, count] holds one bin row before the columns are summed.
template <int Bytes, typename T>
STEP_INLINE void forward_channels_last(
    const BoxTaps<T>& box,
    const Geometry& g,
    Strides stride,
    const T* in,
    T* out,
    T* scratch,
    int64_t count) {
  const int32_t* columns = box.touched_columns.data();
  for (int64_t ph = 0; ph < g.pooled_height; ++ph) {
    const auto rows = sparse_row(box.rows, ph);
    for (int64_t x = 0; x < box.width(); ++x) {
      gather<Bytes>(scratch + x * count, in + columns[x] * stride.column, rows, stride.row, count);
    }
    for (int64_t pw = 0; pw < g.pooled_width; ++pw, out += g.channels) {
      gather<Bytes>(out, scratch, sparse_row(box.cols, pw), count, count);
    }
  }
}

// out [columns, rows] = in [rows, columns] transposed.
template <typename T>
STEP_INLINE void transpose(
    T* STEP_RESTRICT out, const T* STEP_RESTRICT in, int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      out[c * rows + r] = in[r * columns + c];
    }
  }
}

// The same for planes: what the box touches is copied to a patch [height, width, count], pooled to
// [PH, PW, count] and transposed to `out` [count, PH, PW]. scratch holds all three parts.
template <int Bytes, typename T>
STEP_INLINE void forward_planes(
    const BoxTaps<T>& box,
    const Geometry& g,
    Strides stride,
    const T* in,
    T* out,
    T* scratch,
    int64_t count) {
  const int64_t row_size = box.width() * count;
  T* patch = scratch;
  T* bin_row = patch + box.height() * row_size;
  T* pooled = bin_row + row_size;
  const int32_t* columns = box.touched_columns.data();
  for (int64_t c = 0; c < count; ++c) {
    T* to = patch + c;
    for (int64_t y = 0; y < box.height(); ++y) {
      const T* row = in + c * stride.channel + box.touched_rows[y] * stride.row;
      for (int64_t x = 0; x < box.width(); ++x, to += count) {
        *to = row[columns[x]];
      }
    }
  }
  for (int64_t ph = 0; ph < g.pooled_height; ++ph) {
    gather<Bytes>(bin_row, patch, sparse_row(box.rows, ph), row_size, row_size);
    for (int64_t pw = 0; pw < g.pooled_width; ++pw) {
      gather<Bytes>(
          pooled + (ph * g.pooled_width + pw) * count, bin_row, sparse_row(box.cols, pw), count,
          count);
    }
  }
  transpose(out, pooled, g.pooled_height * g.pooled_width, count);
}

// Elements of scratch that the functions above need for boxes up to the whole map.
int64_t forward_scratch(const Geometry& g, bool channels_last, int64_t block) {
  const int64_t patch = channels_last ? 0 : g.height * g.width + g.pooled_height * g.pooled_width;
  return (patch + g.width) * block;
}

// The transposes: R^T G Q is added to grad_in.
template <typename T>
STEP_INLINE void backward_channels_last(
    const BoxTaps<T>& box,
    const Geometry& g,
    Strides stride,
    const T* grad_out,
    T* grad_in,
    T* scratch,
    int64_t count) {
  const int32_t* columns = box.touched_columns.data();
  for (int64_t ph = 0; ph < g.pooled_height; ++ph) {
    std::fill_n(scratch, box.width() * count, T(0));
    for (int64_t pw = 0; pw < g.pooled_width; ++pw, grad_out += g.channels) {
      const auto cols = sparse_row(box.cols, pw);
      for (int64_t t = 0; t < cols.size; ++t) {
        add_scaled(scratch + cols.index[t] * count, grad_out, cols.weight[t], count);
      }
    }
    const auto rows = sparse_row(box.rows, ph);
    for (int64_t t = 0; t < rows.size; ++t) {
      T* row = grad_in + rows.index[t] * stride.row;
      for (int64_t x = 0; x < box.width(); ++x) {
        add_scaled(row + columns[x] * stride.column, scratch + x * count, rows.weight[t], count);
      }
    }
  }
}

template <typename T>
STEP_INLINE void backward_planes(
    const BoxTaps<T>& box,
    const Geometry& g,
    Strides stride,
    const T* grad_out,
    T* grad_in,
    T* scratch,
    int64_t count) {
  const int32_t* columns = box.touched_columns.data();
  for (int64_t plane = 0; plane < count; ++plane, grad_in += stride.channel) {
    for (int64_t ph = 0; ph < g.pooled_height; ++ph) {
      std::fill_n(scratch, box.width(), T(0));
      for (int64_t pw = 0; pw < g.pooled_width; ++pw) {
        const T grad = *grad_out++;
        const auto cols = sparse_row(box.cols, pw);
        for (int64_t t = 0; t < cols.size; ++t) {
          scratch[cols.index[t]] += cols.weight[t] * grad;
        }
      }
      const auto rows = sparse_row(box.rows, ph);
      for (int64_t t = 0; t < rows.size; ++t) {
        T* row = grad_in + rows.index[t] * stride.row;
        if (box.is_dense()) {
          add_scaled(row + columns[0], scratch, rows.weight[t], box.width());
        } else {
          for (int64_t x = 0; x < box.width(); ++x) {
            row[columns[x]] += rows.weight[t] * scratch[x];
          }
        }
      }
    }
  }
}

struct Forward {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const BoxTaps<T>* box,
      const Geometry* g,
      Strides stride,
      bool channels_last,
      const T* in,
      T* out,
      T* scratch,
      int64_t count) {
    if (channels_last) {
      forward_channels_last<Bytes>(*box, *g, stride, in, out, scratch, count);
    } else {
      forward_planes<Bytes>(*box, *g, stride, in, out, scratch, count);
    }
  }
};

struct Backward {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const BoxTaps<T>* box,
      const Geometry* g,
      Strides stride,
      bool channels_last,
      const T* grad_out,
      T* grad_in,
      T* scratch,
      int64_t count) {
    if (channels_last) {
      backward_channels_last(*box, *g, stride, grad_out, grad_in, scratch, count);
    } else {
      backward_planes(*box, *g, stride, grad_out, grad_in, scratch, count);
    }
  }
};

// Where channel `channel` of item `item` begins in a dense [items, channels, PH, PW] tensor.
int64_t pooled_offset(const Geometry& g, bool channels_last, int64_t item, int64_t channel) {
  const int64_t bins = g.pooled_height * g.pooled_width;
  return item * g.channels * bins + channel * (channels_last ? 1 : bins);
}

// Tasks per thread at least, for tasks of so many channels (times boxes).
int64_t grain_size(const Geometry& g, int64_t channels) {
  const int64_t operations = g.pooled_height * g.pooled_width * channels * 8;
  return std::max<int64_t>(1, kGrainOperations / operations);
}

template <typename T>
void run_forward(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const Geometry& g,
    bool channels_last,
    at::Tensor& output) {
  const auto taps = make_boxes<T>(boxes, g, /*compact_rows=*/!channels_last);
  const Strides stride{features.stride(1), features.stride(2), features.stride(3)};
  const T* in = features.const_data_ptr<T>();
  T* out = output.mutable_data_ptr<T>();
  // A patch of planes should stay in the cache as well.
  const int64_t block = channels_last ? kChannelBlock : kChannelBlock / 4;
  const int64_t blocks = (g.channels + block - 1) / block;
  const int64_t tasks = static_cast<int64_t>(taps.size()) * blocks;
  at::parallel_for(0, tasks, grain_size(g, block), [&](int64_t begin, int64_t end) {
    std::vector<T> scratch(forward_scratch(g, channels_last, block));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t k = task / blocks;
      const int64_t channel = task % blocks * block;
      run_vectorized<Forward>(
          &taps[k], &g, stride, channels_last,
          in + taps[k].image * features.stride(0) + channel * stride.channel,
          out + pooled_offset(g, channels_last, k, channel), scratch.data(),
          std::min(block, g.channels - channel));
    }
  });
}

// A task owns some channels of one image and adds its boxes in order, so threads never share an
// element and the sums do not depend on how many threads there are.
template <typename T>
void run_backward(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    const Geometry& g,
    bool channels_last,
    at::Tensor& grad_features) {
  const auto taps = make_boxes<T>(boxes, g, /*compact_rows=*/false);
  const Strides stride{
      grad_features.stride(1), grad_features.stride(2), grad_features.stride(3)};
  const T* grad_out = grad.const_data_ptr<T>();
  T* grad_in = grad_features.mutable_data_ptr<T>();
  constexpr int64_t block = kChannelBlock / 4;  // finer than forward: there are fewer tasks
  const int64_t blocks = (g.channels + block - 1) / block;
  const int64_t boxes_per_image = std::max<int64_t>(1, boxes.size(0) / g.images);
  const int64_t grain = grain_size(g, block * boxes_per_image);
  at::parallel_for(0, g.images * blocks, grain, [&](int64_t begin, int64_t end) {
    std::vector<T> scratch(g.width * (channels_last ? block : 1));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / blocks;
      const int64_t channel = task % blocks * block;
      T* target = grad_in + image * grad_features.stride(0) + channel * stride.channel;
      for (size_t k = 0; k < taps.size(); ++k) {
        if (taps[k].image == image) {
          run_vectorized<Backward>(
              &taps[k], &g, stride, channels_last,
              grad_out + pooled_offset(g, channels_last, static_cast<int64_t>(k), channel),
              target, scratch.data(), std::min(block, g.channels - channel));
        }
      }
    }
  });
}

at::Tensor roi_align_cpu(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width,
    int64_t sampling_ratio,
    bool aligned) {
  check_roi_inputs(features, boxes, pooled_height, pooled_width);
  const bool channels_last = is_channels_last(features);
  const auto format = memory_format(channels_last);
  const auto type = compute_type(features);
  const Geometry g{
      features.size(0), features.size(1), features.size(2), features.size(3), pooled_height,
      pooled_width, spatial_scale, sampling_ratio, aligned};
  auto output = at::empty(
      {boxes.size(0), g.channels, pooled_height, pooled_width},
      features.options().dtype(type).memory_format(format));
  if (output.numel() > 0) {
    // Any strides will do, except in the dimension that the innermost loop walks.
    auto input = features.to(type);
    if (input.stride(channels_last ? 1 : 3) != 1) {
      input = input.contiguous(format);
    }
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_align_cpu", [&] {
      run_forward<scalar_t>(input, coordinates, g, channels_last, output);
    });
  }
  return output.to(features.scalar_type());
}

at::Tensor roi_align_backward_cpu(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    at::IntArrayRef input_size,
    double spatial_scale,
    int64_t sampling_ratio,
    bool aligned,
    bool channels_last) {
  const auto format = memory_format(channels_last);
  const auto type = compute_type(grad);
  auto grad_features =
      at::empty(input_size, grad.options().dtype(type).memory_format(format)).zero_();
  if (grad.numel() > 0 && grad_features.numel() > 0) {
    const Geometry g{
        input_size[0], input_size[1], input_size[2], input_size[3], grad.size(2), grad.size(3),
        spatial_scale, sampling_ratio, aligned};
    const auto dense_grad = grad.to(type).contiguous(format);
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_align_backward_cpu", [&] {
      run_backward<scalar_t>(dense_grad, coordinates, g, channels_last, grad_features);
    });
  }
  return grad_features.to(grad.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("roi_align", &roi_align_cpu);
  m.impl("_roi_align_backward", &roi_align_backward_cpu);
}

}  // namespace step
