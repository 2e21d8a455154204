// The gradient of RoI align on the CPU: R^T G Q for every box (box_taps.h), added up per image.
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

template <typename T>
STEP_INLINE void add_scaled(T* STEP_RESTRICT out, const T* STEP_RESTRICT in, T weight, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] += weight * in[i];
  }
}

// R^T G Q is added to grad_in, the first of `count` channels of the box's image.
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

struct Backward {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const BoxTaps<T>* box,
      const Geometry* g,
      Strides stride,
      const T* grad_out,
      T* grad_in,
      T* scratch,
      int64_t count) {
    if (g->channels_last) {
      backward_channels_last(*box, *g, stride, grad_out, grad_in, scratch, count);
    } else {
      backward_planes(*box, *g, stride, grad_out, grad_in, scratch, count);
    }
  }
};

// A task owns some channels of one image and adds its boxes in order, so threads never share an
// element and the sums do not depend on how many threads there are.
template <typename T>
void run_backward(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    const Geometry& g,
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
    std::vector<T> scratch(g.width * (g.channels_last ? block : 1));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / blocks;
      const int64_t channel = task % blocks * block;
      T* target = grad_in + image * grad_features.stride(0) + channel * stride.channel;
      for (size_t k = 0; k < taps.size(); ++k) {
        if (taps[k].image == image) {
          run_vectorized<Backward>(
              &taps[k], &g, stride,
              grad_out + pooled_offset(g, static_cast<int64_t>(k), channel),
              target, scratch.data(), std::min(block, g.channels - channel));
        }
      }
    }
  });
}

at::Tensor roi_align_backward_cpu(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    at::IntArrayRef input_size,
    const RoiParams& params,
    bool channels_last) {
  check_roi_gradient(grad, boxes, c10::fromIntArrayRefSlow(input_size));
  check_sampling_ratio(params.sampling_ratio);
  const auto format = memory_format(channels_last);
  const auto type = compute_type(grad);
  auto grad_features =
      at::empty(input_size, grad.options().dtype(type).memory_format(format)).zero_();
  if (grad.numel() > 0 && grad_features.numel() > 0) {
    check_pooled_size(grad.size(2), grad.size(3));
    const Geometry g = backward_geometry(params, input_size, grad, channels_last);
    const auto dense_grad = grad.to(type).contiguous(format);
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_align_backward_cpu", [&] {
      run_backward<scalar_t>(dense_grad, coordinates, g, grad_features);
    });
  }
  return grad_features.to(grad.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("_roi_align_backward", &listed_backward<&roi_align_backward_cpu>);
}

}  // namespace step
