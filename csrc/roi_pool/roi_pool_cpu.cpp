// RoI max pooling on the CPU, vectorised over channels; features in channels-first order are
// transposed on the fly, a box and some channels at a time.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <tuple>
#include <vector>

#include "../common/checks.h"
#include "../common/vectorize.h"
#include "bins.h"
#include "roi_pool.h"

namespace step {
namespace {

// Channels handled at a time: a bin's maxima and their places stay in the first-level cache, and
// so does a patch of planes.
int64_t channel_block(bool channels_last) {
  return channels_last ? 128 : 32;
}

struct Bin {
  PixelRange y, x;

  bool empty() const {
    return y.first >= y.last || x.first >= x.last;
  }
};

struct Strides {
  int64_t channel, row, column;
};

// NaN wins, and stays: a broken feature must not be hidden.
template <typename T>
STEP_INLINE bool beats(T value, T best) {
  return (value > best) | (value != value);
}

// `count` channels that lie together: `in` is their value at pixel (top, left); `best` and `place`
// belong to bin 0 and lie `out_stride` elements a bin apart.
template <typename T>
STEP_INLINE void max_bins(
    const Bin* bins, const Geometry& g, const T* in, Strides stride, int64_t top, int64_t left,
    T* best, int32_t* place, int64_t out_stride, int64_t count) {
  for (int64_t b = 0; b < g.bins(); ++b, best += out_stride, place += out_stride) {
    const PixelRange y = bins[b].y, x = bins[b].x;
    const bool empty = bins[b].empty();
    std::fill_n(best, count, empty ? T(0) : -std::numeric_limits<T>::infinity());
    std::fill_n(place, count, empty ? -1 : static_cast<int32_t>(y.first * g.width + x.first));
    for (int64_t row = y.first; row < y.last; ++row) {
      for (int64_t column = x.first; column < x.last; ++column) {
        const T* STEP_RESTRICT value =
            in + (row - top) * stride.row + (column - left) * stride.column;
        T* STEP_RESTRICT to = best;
        int32_t* STEP_RESTRICT where = place;
        const auto here = static_cast<int32_t>(row * g.width + column);
        for (int64_t c = 0; c < count; ++c) {
          const bool better = beats(value[c], to[c]);
          to[c] = better ? value[c] : to[c];
          where[c] = better ? here : where[c];
        }
      }
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

// `count` planes: the box is copied to a patch [height, width, count], pooled to [bins, count] and
// transposed to `best` and `place` [count, bins].
template <typename T>
STEP_INLINE void max_planes(
    const Bin* bins, const Geometry& g, const T* in, Strides stride, T* best, int32_t* place,
    int64_t count, T* patch, int32_t* places) {
  const int64_t top = bins[0].y.first, bottom = bins[g.bins() - 1].y.last;
  const int64_t left = bins[0].x.first, right = bins[g.bins() - 1].x.last;
  const int64_t height = std::max<int64_t>(0, bottom - top);
  const int64_t width = std::max<int64_t>(0, right - left);
  for (int64_t c = 0; c < count; ++c) {
    T* to = patch + c;
    for (int64_t y = top; y < top + height; ++y) {
      const T* row = in + c * stride.channel + y * stride.row + left;
      for (int64_t x = 0; x < width; ++x, to += count) {
        *to = row[x];
      }
    }
  }
  T* pooled = patch + height * width * count;
  max_bins(bins, g, patch, {1, width * count, count}, top, left, pooled, places, count, count);
  transpose(best, pooled, g.bins(), count);
  transpose(place, places, g.bins(), count);
}

struct Max {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const Bin* bins, const Geometry* g, Strides stride, const T* in, T* best, int32_t* place, int64_t count, T* patch, int32_t* places) {
    if (g->channels_last) {
      max_bins(bins, *g, in, stride, 0, 0, best, place, g->channels, count);
    } else {
      max_planes(bins, *g, in, stride, best, place, count, patch, places);
    }
  }
};

template <typename T>
std::vector<Bin> make_bins(const T* box, const Geometry& g) {
  const T scale = static_cast<T>(g.spatial_scale);
  std::vector<Bin> bins;
  bins.reserve(g.bins());
  for (int64_t ph = 0; ph < g.pooled_height; ++ph) {
    const auto y = bin_range(box[2], box[4], scale, ph, g.pooled_height, g.height);
    for (int64_t pw = 0; pw < g.pooled_width; ++pw) {
      bins.push_back({y, bin_range(box[1], box[3], scale, pw, g.pooled_width, g.width)});
    }
  }
  return bins;
}

template <typename T>
void run_forward(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const Geometry& g,
    at::Tensor& output,
    at::Tensor& argmax) {
  check_image_indices<T>(boxes, g.images);
  const Strides stride{features.stride(1), features.stride(2), features.stride(3)};
  const T* in = features.const_data_ptr<T>();
  const T* box = boxes.const_data_ptr<T>();
  T* best = output.mutable_data_ptr<T>();
  int32_t* place = argmax.mutable_data_ptr<int32_t>();
  const int64_t block = channel_block(g.channels_last);
  at::parallel_for(0, boxes.size(0), 1, [&](int64_t begin, int64_t end) {
    const int64_t planes = g.channels_last ? 0 : block;
    std::vector<T> patch((g.height * g.width + g.bins()) * planes);
    std::vector<int32_t> places(g.bins() * planes);
    for (int64_t k = begin; k < end; ++k) {
      const auto bins = make_bins(box + k * 5, g);
      const T* image = in + static_cast<int64_t>(box[k * 5]) * features.stride(0);
      for (int64_t c = 0; c < g.channels; c += block) {
        const int64_t to = k * g.channels * g.bins() + c * (g.channels_last ? 1 : g.bins());
        run_vectorized<Max>(
            bins.data(), &g, stride, image + c * stride.channel, best + to,
            place + to, std::min(block, g.channels - c), patch.data(), places.data());
      }
    }
  });
}

// Adds the gradients of `count` channels of one box to the places of their maxima in `planes`
// [count, H, W]. `grad` and `place` begin at the first of these channels. False where a place is
// neither a pixel nor -1: such a gradient is left out.
template <typename T>
bool add_box(
    const T* grad,
    const int32_t* place,
    T* planes,
    const Geometry& g,
    int64_t count) {
  const int64_t pixels = g.height * g.width;
  // The inner loop runs along the dense dimension: channels, or the bins of one channel.
  const int64_t outer = g.channels_last ? g.bins() : count;
  const int64_t inner = g.channels_last ? count : g.bins();
  const int64_t outer_stride = g.channels_last ? g.channels : g.bins();
  bool valid = true;
  for (int64_t o = 0; o < outer; ++o, grad += outer_stride, place += outer_stride) {
    for (int64_t i = 0; i < inner; ++i) {
      if (place[i] >= 0 && place[i] < pixels) {
        planes[(g.channels_last ? i : o) * pixels + place[i]] += grad[i];
      } else {
        valid &= place[i] == -1;
      }
    }
  }
  return valid;
}

// A task owns some channels of one image and adds its boxes in order, so threads never share an
// element and the sums do not depend on how many threads there are. All tensors are dense, in the
// memory format that channels_last names. Sums are made in planes, also for channels-last, whose
// pixels lie too far apart for the cache: the maxima of neighbouring channels are anywhere.
template <typename T>
void run_backward(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    const Geometry& g,
    at::Tensor& grad_features) {
  check_image_indices<T>(boxes, g.images);
  const T* grad_out = grad.const_data_ptr<T>();
  const int32_t* place = argmax.const_data_ptr<int32_t>();
  const T* box = boxes.const_data_ptr<T>();
  T* grad_in = grad_features.mutable_data_ptr<T>();
  const int64_t pixels = g.height * g.width;
  const int64_t block = channel_block(/*channels_last=*/false);
  const int64_t blocks = (g.channels + block - 1) / block;
  std::atomic<bool> valid{true};
  at::parallel_for(0, g.images * blocks, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> scratch(g.channels_last ? block * pixels : 0);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / blocks;
      const int64_t channel = task % blocks * block;
      const int64_t count = std::min(block, g.channels - channel);
      T* map = grad_in + image * g.channels * pixels;
      T* planes = g.channels_last ? scratch.data() : map + channel * pixels;
      std::fill(scratch.begin(), scratch.end(), T(0));
      for (int64_t k = 0; k < boxes.size(0); ++k) {
        if (static_cast<int64_t>(box[k * 5]) == image) {
          const int64_t from =
              k * g.channels * g.bins() + channel * (g.channels_last ? 1 : g.bins());
          if (!add_box<T>(grad_out + from, place + from, planes, g, count)) {
            valid = false;
          }
        }
      }
      for (int64_t pixel = 0; g.channels_last && pixel < pixels; ++pixel) {
        for (int64_t c = 0; c < count; ++c) {
          map[pixel * g.channels + channel + c] = planes[c * pixels + pixel];
        }
      }
    }
  });
  TORCH_CHECK_VALUE(
      valid, "argmax must be -1 or a pixel of the ", g.height, " x ", g.width, " map");
}

std::tuple<at::Tensor, at::Tensor> roi_pool_cpu(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const RoiParams& params) {
  check_roi_inputs(features, boxes, params);
  check_pixels(features.size(2), features.size(3));
  const bool channels_last = is_channels_last(features);
  const auto format = memory_format(channels_last);
  const auto type = compute_type(features);
  const Geometry g(params, features.sizes(), boxes.size(0), channels_last);
  const auto options = features.options().memory_format(format);
  auto output =
      at::empty({g.boxes, g.channels, g.pooled_height, g.pooled_width}, options.dtype(type));
  auto argmax = at::empty(output.sizes(), options.dtype(at::kInt));
  if (output.numel() > 0) {
    auto input = features.to(type);
    // Any strides will do, except in the dimension that the innermost loop walks.
    if (input.stride(channels_last ? 1 : 3) != 1) {
      input = input.contiguous(format);
    }
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_pool_cpu", [&] {
      run_forward<scalar_t>(input, coordinates, g, output, argmax);
    });
  }
  return {output.to(features.scalar_type()), argmax};
}

at::Tensor roi_pool_backward_cpu(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    at::IntArrayRef input_size,
    bool channels_last) {
  check_roi_gradient(grad, boxes, c10::fromIntArrayRefSlow(input_size));
  check_argmax(grad, argmax);
  const auto format = memory_format(channels_last);
  const auto type = compute_type(grad);
  auto grad_features =
      at::empty(input_size, grad.options().dtype(type).memory_format(format)).zero_();
  if (grad.numel() > 0 && grad_features.numel() > 0) {
    check_pooled_size(grad.size(2), grad.size(3));
    check_pixels(input_size[2], input_size[3]);
    const Geometry g = backward_geometry({}, input_size, grad, channels_last);
    const auto dense_grad = grad.to(type).contiguous(format);
    const auto dense_argmax = argmax.contiguous(format);
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_pool_backward_cpu", [&] {
      run_backward<scalar_t>(dense_grad, dense_argmax, coordinates, g, grad_features);
    });
  }
  return grad_features.to(grad.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("roi_pool", &Listed<RoiPool::Signature, &roi_pool_cpu>::call);
  m.impl("_roi_pool_backward", &roi_pool_backward_cpu);
}

}  // namespace step
