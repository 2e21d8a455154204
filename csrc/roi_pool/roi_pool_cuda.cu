// RoI max pooling on CUDA: a thread per output element, in the order of the output's memory, or per
// pack of channels where these lie side by side.
#include <ATen/AccumulateType.h>
#include <ATen/Context.h>
#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/cuda/Atomic.cuh>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "../common/checks.h"
#include "../common/cuda.h"
#include "bins.h"
#include "roi_pool.h"

namespace step {
namespace {

template <typename A>
__device__ int64_t image_index(const A* box, const Geometry& g) {
  CUDA_KERNEL_ASSERT(
      box[0] >= A(0) && box[0] < A(g.images) && "a box has a batch index outside the features");
  return static_cast<int64_t>(box[0]);
}

template <typename T, typename A, typename I, int V>
__global__ void forward_kernel(
    const T* features, Layout layout, const A* boxes, Geometry g, int64_t packs, T* output,
    int32_t* argmax) {
  for_each_position<I>(packs, [&](I i) {
    auto at = unravel<I>(i, g.channels / V, g.pooled_height, g.pooled_width, g.channels_last);
    at.channel *= V;
    const A* box = boxes + static_cast<int64_t>(at.item) * 5;
    const A scale = static_cast<A>(g.spatial_scale);
    const auto y = bin_range(box[2], box[4], scale, at.row, g.pooled_height, g.height);
    const auto x = bin_range(box[1], box[3], scale, at.column, g.pooled_width, g.width);
    const T* plane = features + layout.at(image_index(box, g), at.channel, 0, 0);
    A best[V];
    int32_t places[V];
    for (int k = 0; k < V; ++k) {
      best[k] = 0;
      places[k] = -1;
    }
    for (int64_t row = y.first; row < y.last; ++row) {
      for (int64_t column = x.first; column < x.last; ++column) {
        const auto pack = *reinterpret_cast<const Pack<T, V>*>(
            plane + row * layout.row + column * layout.column);
        const auto place = static_cast<int32_t>(row * g.width + column);
        for (int k = 0; k < V; ++k) {
          const A value = static_cast<A>(pack.values[k]);
          if (places[k] < 0 || value > best[k] || value != value) {  // NaN wins, and stays
            best[k] = value;
            places[k] = place;
          }
        }
      }
    }
    Pack<T, V> pooled;
    for (int k = 0; k < V; ++k) {
      pooled.values[k] = static_cast<T>(best[k]);
      argmax[static_cast<int64_t>(i) * V + k] = places[k];
    }
    reinterpret_cast<Pack<T, V>*>(output)[i] = pooled;
  });
}

template <typename T, typename A, typename I>
__global__ void backward_kernel(
    const T* grad, const int32_t* argmax, Layout layout, const A* boxes, Geometry g,
    int64_t count, A* grad_features) {
  for_each_position<I>(count, [&](I i) {
    const int64_t place = argmax[i];
    if (place == -1) {
      return;
    }
    CUDA_KERNEL_ASSERT(
        place >= 0 && place < g.height * g.width && "argmax must be -1 or a pixel of the map");
    const auto at = unravel<I>(i, g.channels, g.pooled_height, g.pooled_width, g.channels_last);
    const int64_t image = image_index(boxes + static_cast<int64_t>(at.item) * 5, g);
    gpuAtomicAddNoReturn(
        grad_features + layout.at(image, at.channel, place / g.width, place % g.width),
        static_cast<A>(grad[i]));
  });
}

std::tuple<at::Tensor, at::Tensor> roi_pool_cuda(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const RoiParams& params) {
  check_roi_inputs(features, boxes, params);
  check_pixels(features.size(2), features.size(3));
  const c10::cuda::CUDAGuard guard(features.device());
  const bool channels_last = is_channels_last(features);
  const Geometry g(params, features.sizes(), boxes.size(0), channels_last);
  const auto options = features.options().memory_format(memory_format(channels_last));
  auto output = at::empty({g.boxes, g.channels, g.pooled_height, g.pooled_width}, options);
  auto argmax = at::empty(output.sizes(), options.dtype(at::kInt));
  if (output.numel() == 0) {
    return {output, argmax};
  }
  const auto coordinates = boxes.to(compute_type(features)).contiguous();
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, features.scalar_type(), "roi_pool_cuda", [&] {
        using A = at::acc_type<scalar_t, /*is_cuda=*/true>;
        const bool packed = channels_last && is_packed<kPacked<scalar_t>>(features);
        launch_over<scalar_t>(g.outputs(), packed, [&](auto position, auto pack) {
          using I = decltype(position);
          constexpr int V = decltype(pack)::value;
          const int64_t packs = g.outputs() / V;
          forward_kernel<scalar_t, A, I, V>
              <<<blocks_for(packs), kThreads, 0, at::cuda::getCurrentCUDAStream()>>>(
                  features.const_data_ptr<scalar_t>(), Layout(features),
                  coordinates.const_data_ptr<A>(), g, packs, output.mutable_data_ptr<scalar_t>(),
                  argmax.mutable_data_ptr<int32_t>());
          C10_CUDA_KERNEL_LAUNCH_CHECK();
        });
      });
  return {output, argmax};
}

at::Tensor roi_pool_backward_cuda(
    const at::Tensor& grad,
    const at::Tensor& argmax,
    const at::Tensor& boxes,
    at::IntArrayRef input_size,
    bool channels_last) {
  check_roi_gradient(grad, boxes, c10::fromIntArrayRefSlow(input_size));
  check_argmax(grad, argmax);
  at::globalContext().alertNotDeterministic("step::_roi_pool_backward on CUDA");
  const c10::cuda::CUDAGuard guard(grad.device());
  const auto format = memory_format(channels_last);
  const auto type = compute_type(grad);
  auto grad_features =
      at::empty(input_size, grad.options().dtype(type).memory_format(format)).zero_();
  if (grad.numel() == 0 || grad_features.numel() == 0) {
    return grad_features.to(grad.scalar_type());
  }
  const Geometry g = backward_geometry({}, input_size, grad, channels_last);
  const auto dense_grad = grad.contiguous(format);
  const auto dense_argmax = argmax.contiguous(format);
  const auto coordinates = boxes.to(type).contiguous();
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, grad.scalar_type(), "roi_pool_backward_cuda", [&] {
        using A = at::acc_type<scalar_t, /*is_cuda=*/true>;
        launch_over<scalar_t>(g.outputs(), false, [&](auto position, auto) {
          backward_kernel<scalar_t, A, decltype(position)>
              <<<blocks_for(g.outputs()), kThreads, 0, at::cuda::getCurrentCUDAStream()>>>(
                  dense_grad.const_data_ptr<scalar_t>(), dense_argmax.const_data_ptr<int32_t>(),
                  Layout(grad_features), coordinates.const_data_ptr<A>(), g, g.outputs(),
                  grad_features.mutable_data_ptr<A>());
          C10_CUDA_KERNEL_LAUNCH_CHECK();
        });
      });
  return grad_features.to(grad.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CUDA, m) {
  m.impl("roi_pool", &Listed<RoiPool::Signature, &roi_pool_cuda>::call);
  m.impl("_roi_pool_backward", &roi_pool_backward_cuda);
}

}  // namespace step
