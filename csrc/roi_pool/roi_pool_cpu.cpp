// RoI max pooling on the CPU. Both layouts are walked as they lie in memory.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

#include "../common/checks.h"
#include "../common/vectorize.h"
#include "bins.h"

namespace step {
namespace {

// Channels handled by one task: a bin's maxima and their places stay in the first-level cache.
constexpr int64_t kChannelBlock = 64;

struct Geometry {
  int64_t images, channels, height, width;
  int64_t pooled_height, pooled_width;
  double spatial_scale;

  int64_t bins() const {
    return pooled_height * pooled_width;
  }
};

struct Strides {
  int64_t channel, row, column;
};

template <typename T>
int64_t image_index(const T* boxes, int64_t k, int64_t images) {
  const T image = boxes[k * 5];
  TORCH_CHECK_VALUE(
      image >= T(0) && image < T(images),
      "boxes[", k, "] has batch index ", image, ", but features hold ", images, " maps");
  return static_cast<int64_t>(image);
}

// NaN wins, and stays: a broken feature must not be hidden.
template <typename T>
STEP_INLINE bool beats(T value, T best) {
  return (value > best) | (value != value);
}

// `count` neighbouring channels of one bin, in channels-last memory.
template <typename T>
STEP_INLINE void max_channels_last(
    const T* STEP_RESTRICT in,
    T* STEP_RESTRICT best,
    int32_t* STEP_RESTRICT place,
    PixelRange y,
    PixelRange x,
    Strides stride,
    int64_t width,
    int64_t count) {
  const bool empty = y.first >= y.last || x.first >= x.last;
  std::fill_n(best, count, empty ? T(0) : -std::numeric_limits<T>::infinity());
  std::fill_n(place, count, empty ? -1 : static_cast<int32_t>(y.first * width + x.first));
  for (int64_t row = y.first; row < y.last; ++row) {
    for (int64_t column = x.first; column < x.last; ++column) {
      const T* value = in + row * stride.row + column * stride.column;
      const auto here = static_cast<int32_t>(row * width + column);
      for (int64_t c = 0; c < count; ++c) {
        const bool better = beats(value[c], best[c]);
        best[c] = better ? value[c] : best[c];
        place[c] = better ? here : place[c];
      }
    }
  }
}

struct MaxChannelsLast {
  template <int Bytes, typename T>
  STEP_INLINE static void run(
      const T* in, T* best, int32_t* place, PixelRange y, PixelRange x, Strides stride,
      int64_t width, int64_t count) {
    max_channels_last(in, best, place, y, x, stride, width, count);
  }
};

// One bin of one plane. Written apart from max_channels_last, whose inner loop would be empty.
template <typename T>
void max_plane(
    const T* in, T* best, int32_t* place, PixelRange y, PixelRange x, Strides stride,
    int64_t width) {
  const bool empty = y.first >= y.last || x.first >= x.last;
  T top = empty ? T(0) : -std::numeric_limits<T>::infinity();
  int64_t at = empty ? -1 : y.first * width + x.first;
  for (int64_t row = y.first; row < y.last; ++row) {
    for (int64_t column = x.first; column < x.last; ++column) {
      const T value = in[row * stride.row + column * stride.column];
      if (beats(value, top)) {
        top = value;
        at = row * width + column;
      }
    }
  }
  *best = top;
  *place = static_cast<int32_t>(at);
}

struct Bin {
  PixelRange y, x;
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
    bool channels_last,
    at::Tensor& output,
    at::Tensor& argmax) {
  const Strides stride{features.stride(1), features.stride(2), features.stride(3)};
  const T* in = features.const_data_ptr<T>();
  const T* box = boxes.const_data_ptr<T>();
  T* best = output.mutable_data_ptr<T>();
  int32_t* place = argmax.mutable_data_ptr<int32_t>();
  const int64_t box_size = g.channels * g.bins();
  const int64_t step = channels_last ? kChannelBlock : 1;
  at::parallel_for(0, boxes.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      const auto bins = make_bins(box + k * 5, g);
      const T* image = in + image_index(box, k, g.images) * features.stride(0);
      for (int64_t c = 0; c < g.channels; c += step) {
        const T* plane = image + c * stride.channel;
        for (int64_t b = 0; b < g.bins(); ++b) {
          if (channels_last) {
            const int64_t to = k * box_size + b * g.channels + c;
            run_vectorized<MaxChannelsLast>(
                plane, best + to, place + to, bins[b].y, bins[b].x, stride, g.width,
                std::min(step, g.channels - c));
          } else {
            const int64_t to = k * box_size + c * g.bins() + b;
            max_plane(plane, best + to, place + to, bins[b].y, bins[b].x, stride, g.width);
          }
        }
      }
    }
  });
}

// A task owns some channels of one image and adds its boxes in order, so threads never share an
// element and the sums do not depend on how many threads there are. All tensors are dense, in the
// memory format that channels_last names.
template <typename T>
void run_backward(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    const Geometry& g,
    bool channels_last,
    at::Tensor& grad_features) {
  const T* grad_out = grad.const_data_ptr<T>();
  const int32_t* place = argmax.const_data_ptr<int32_t>();
  const T* box = boxes.const_data_ptr<T>();
  T* grad_in = grad_features.mutable_data_ptr<T>();
  const int64_t pixels = g.height * g.width;
  const int64_t channel_out = channels_last ? 1 : g.bins();
  const int64_t bin_out = channels_last ? g.channels : 1;
  const int64_t channel_in = channels_last ? 1 : pixels;
  const int64_t pixel_in = channels_last ? g.channels : 1;
  const int64_t blocks = (g.channels + kChannelBlock - 1) / kChannelBlock;
  at::parallel_for(0, g.images * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / blocks;
      const int64_t first = task % blocks * kChannelBlock;
      const int64_t last = std::min(first + kChannelBlock, g.channels);
      T* target = grad_in + image * g.channels * pixels;
      for (int64_t k = 0; k < boxes.size(0); ++k) {
        if (image_index(box, k, g.images) != image) {
          continue;
        }
        const int64_t from = k * g.channels * g.bins();
        for (int64_t i = 0; i < (last - first) * g.bins(); ++i) {
          // The faster of the two indices is the one that is dense in memory.
          const int64_t bin = channels_last ? i / (last - first) : i % g.bins();
          const int64_t c = first + (channels_last ? i % (last - first) : i / g.bins());
          const int64_t at = from + c * channel_out + bin * bin_out;
          if (place[at] >= 0) {
            target[c * channel_in + place[at] * pixel_in] += grad_out[at];
          }
        }
      }
    }
  });
}

std::tuple<at::Tensor, at::Tensor> roi_pool_cpu(
    const at::Tensor& features,
    const at::Tensor& boxes,
    double spatial_scale,
    int64_t pooled_height,
    int64_t pooled_width) {
  check_roi_inputs(features, boxes, pooled_height, pooled_width);
  const bool channels_last = is_channels_last(features);
  const auto format = memory_format(channels_last);
  const auto type = compute_type(features);
  const Geometry g{
      features.size(0), features.size(1), features.size(2), features.size(3),
      pooled_height, pooled_width, spatial_scale};
  const auto options = features.options().memory_format(format);
  auto output =
      at::empty({boxes.size(0), g.channels, pooled_height, pooled_width}, options.dtype(type));
  auto argmax = at::empty(output.sizes(), options.dtype(at::kInt));
  if (output.numel() > 0) {
    auto input = features.to(type);
    if (channels_last && input.stride(1) != 1) {
      input = input.contiguous(format);
    }
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_pool_cpu", [&] {
      run_forward<scalar_t>(input, coordinates, g, channels_last, output, argmax);
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
  const auto format = memory_format(channels_last);
  const auto type = compute_type(grad);
  auto grad_features =
      at::empty(input_size, grad.options().dtype(type).memory_format(format)).zero_();
  if (grad.numel() > 0 && grad_features.numel() > 0) {
    const Geometry g{
        input_size[0], input_size[1], input_size[2], input_size[3], grad.size(2), grad.size(3),
        /*spatial_scale=*/0};
    const auto dense_grad = grad.to(type).contiguous(format);
    const auto dense_argmax = argmax.contiguous(format);
    const auto coordinates = boxes.to(type).contiguous();
    AT_DISPATCH_FLOATING_TYPES(type, "roi_pool_backward_cpu", [&] {
      run_backward<scalar_t>(
          dense_grad, dense_argmax, coordinates, g, channels_last, grad_features);
    });
  }
  return grad_features.to(grad.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CPU, m) {
  m.impl("roi_pool", &roi_pool_cpu);
  m.impl("_roi_pool_backward", &roi_pool_backward_cpu);
}

}  // namespace step
