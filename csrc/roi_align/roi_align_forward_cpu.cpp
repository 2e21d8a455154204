// RoI align on the CPU: out = R F Q^T for every box (box_taps.h).
//
// Both sweeps are vectorised over channels; features in channels-first order are therefore
// transposed on the fly, a box and some channels at a time.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "../common/checks.h"
#include "../common/vectorize.h"
#include "box_taps.h"
#include "roi_align.h"

namespace step {
namespace {

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
  transpose(out, pooled, g.bins(), count);
}

// Elements of scratch that the functions above need for boxes up to the whole map.
int64_t forward_scratch(const Geometry& g, int64_t block) {
  const int64_t patch = g.channels_last ? 0 : g.height * g.width + g.bins();
  return (patch + g.width) * block;
}

struct Forward {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const BoxTaps<T>* box,
      const Geometry* g,
      Strides stride,
      const T* in,
      T* out,
      T* scratch,
      int64_t count) {
    if (g->channels_last) {
      forward_channels_last<Bytes>(*box, *g, stride, in, out, scratch, count);
    } else {
      forward_planes<Bytes>(*box, *g, stride, in, out, scratch, count);
    }
  }
};

template <typename T>
void run_forward(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const Geometry& g,
    at::Tensor& output) {
  const auto taps = make_boxes<T>(boxes, g, /*compact_rows=*/!g.channels_last);
  const Strides stride{features.stride(1), features.stride(2), features.stride(3)};
  const T* in = features.const_data_ptr<T>();
  T* out = output.mutable_data_ptr<T>();
  // A patch of planes should stay in the cache as well.
  const int64_t block = g.channels_last ? kChannelBlock : kChannelBlock / 4;
  const int64_t blocks = (g.channels + block - 1) / block;
  const int64_t tasks = static_cast<int64_t>(taps.size()) * blocks;
  at::parallel_for(0, tasks, grain_size(g, block), [&](int64_t begin, int64_t end) {
    std::vector<T> scratch(forward_scratch(g, block));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t k = task / blocks;
      const int64_t channel = task % blocks * block;
      run_vectorized<Forward>(
          &taps[k], &g, stride,
          in + taps[k].image * features.stride(0) + channel * stride.channel,
          out + pooled_offset(g, k, channel), scratch.data(),
          std::min(block, g.channels - channel));
    }
  });
}

at::Tensor roi_align_cpu(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const RoiParams& params) {
  check_roi_inputs(features, boxes, params);
  const bool channels_last = is_channels_last(features);
  const auto format = memory_format(channels_last);
  const auto type = compute_type(features);
  const Geometry g(params, features.sizes(), boxes.size(0), channels_last);
  auto output = at::empty(
      {g.boxes, g.channels, g.pooled_height, g.pooled_width},
      features.options().dtype(type).memory_format(format));
  if (output.numel() > 0) {
    // Any strides will do, except in the dimension that the innermost loop walks.
    auto input = features.to(type);
    if (input.stride(channels_last ? 1 : 3) != 1) {
      input = input.contiguous(format);
    }
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_align_cpu", [&] {
      run_forward<scalar_t>(input, coordinates, g, output);
    });
  }
  return output.to(features.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("roi_align", &Listed<RoiAlign::Signature, &roi_align_cpu>::call);
}

}  // namespace step
