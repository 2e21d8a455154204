// RoI align on CUDA: a thread per output element, in the order of the output's memory; where channels
// lie side by side, per pack of channels, which share what a bin samples and with which weights.
#include <ATen/AccumulateType.h>
#include <ATen/Context.h>
#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/cuda/Atomic.cuh>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../common/checks.h"
#include "../common/cuda.h"
#include "roi_align.h"
#include "sampling.h"

namespace step {
namespace {

// Calls visit(row, column, weight) for the four neighbours of every sample of one bin.
template <typename A, typename I, typename Visit>
__device__ void for_each_neighbor(
    const A* box, const Geometry& g, const Index<I>& out, Visit visit) {
  const A scale = static_cast<A>(g.spatial_scale);
  const auto y = make_axis(box[2], box[4], scale, g.pooled_height, g.sampling_ratio, g.aligned);
  const auto x = make_axis(box[1], box[3], scale, g.pooled_width, g.sampling_ratio, g.aligned);
  const auto rows = sample_range(y, out.row, g.height);
  const auto columns = sample_range(x, out.column, g.width);
  const A share = A(1) / (A(y.grid) * A(x.grid));  // without samples it is never used
  Neighbors<A> v, h;
  for (int64_t i = rows.first; i < rows.last; ++i) {
    if (!find_neighbors(sample_position(y, out.row, i), g.height, v)) {
      continue;
    }
    for (int64_t j = columns.first; j < columns.last; ++j) {
      if (!find_neighbors(sample_position(x, out.column, j), g.width, h)) {
        continue;
      }
      visit(v.low, h.low, v.low_weight * h.low_weight * share);
      visit(v.low, h.high, v.low_weight * h.high_weight * share);
      visit(v.high, h.low, v.high_weight * h.low_weight * share);
      visit(v.high, h.high, v.high_weight * h.high_weight * share);
    }
  }
}

template <typename A>
__device__ int64_t image_index(const A* box, const Geometry& g) {
  CUDA_KERNEL_ASSERT(
      box[0] >= A(0) && box[0] < A(g.images) && "a box has a batch index outside the features");
  return static_cast<int64_t>(box[0]);
}

template <typename T, typename A, typename I, int V>
__global__ void forward_kernel(
    const T* features, Layout layout, const A* boxes, Geometry g, int64_t packs, T* output) {
  for_each_position<I>(packs, [&](I i) {
    auto at = unravel<I>(i, g.channels / V, g.pooled_height, g.pooled_width, g.channels_last);
    at.channel *= V;
    const A* box = boxes + static_cast<int64_t>(at.item) * 5;
    const T* plane = features + layout.at(image_index(box, g), at.channel, 0, 0);
    A sums[V] = {};
    for_each_neighbor(box, g, at, [&](int64_t row, int64_t column, A weight) {
      const auto pack = *reinterpret_cast<const Pack<T, V>*>(
          plane + row * layout.row + column * layout.column);
      for (int k = 0; k < V; ++k) {
        sums[k] += weight * static_cast<A>(pack.values[k]);
      }
    });
    Pack<T, V> pooled;
    for (int k = 0; k < V; ++k) {
      pooled.values[k] = static_cast<T>(sums[k]);
    }
    reinterpret_cast<Pack<T, V>*>(output)[i] = pooled;
  });
}

// A sums in the accumulation type: half atomics are slow, and lose small contributions.
template <typename T, typename A, typename I>
__global__ void backward_kernel(
    const T* grad, Layout layout, const A* boxes, Geometry g, int64_t count, A* grad_features) {
  for_each_position<I>(count, [&](I i) {
    const auto at = unravel<I>(i, g.channels, g.pooled_height, g.pooled_width, g.channels_last);
    const A* box = boxes + static_cast<int64_t>(at.item) * 5;
    A* plane = grad_features + layout.at(image_index(box, g), at.channel, 0, 0);
    const A value = static_cast<A>(grad[i]);
    for_each_neighbor(box, g, at, [&](int64_t row, int64_t column, A weight) {
      gpuAtomicAddNoReturn(plane + row * layout.row + column * layout.column, weight * value);
    });
  });
}

at::Tensor roi_align_cuda(
    const at::Tensor& features,
    const at::Tensor& boxes,
    const RoiParams& params) {
  check_roi_inputs(features, boxes, params);
  const c10::cuda::CUDAGuard guard(features.device());
  const bool channels_last = is_channels_last(features);
  const Geometry g(params, features.sizes(), boxes.size(0), channels_last);
  auto output = at::empty(
      {g.boxes, g.channels, g.pooled_height, g.pooled_width},
      features.options().memory_format(memory_format(channels_last)));
  if (output.numel() == 0) {
    return output;
  }
  const auto coordinates = boxes.to(compute_type(features)).contiguous();
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, features.scalar_type(), "roi_align_cuda", [&] {
        using A = at::acc_type<scalar_t, /*is_cuda=*/true>;
        const bool packed = channels_last && is_packed<kPacked<scalar_t>>(features);
        launch_over<scalar_t>(g.outputs(), packed, [&](auto position, auto pack) {
          using I = decltype(position);
          constexpr int V = decltype(pack)::value;
          const int64_t packs = g.outputs() / V;
          forward_kernel<scalar_t, A, I, V>
              <<<blocks_for(packs), kThreads, 0, at::cuda::getCurrentCUDAStream()>>>(
                  features.const_data_ptr<scalar_t>(), Layout(features),
                  coordinates.const_data_ptr<A>(), g, packs, output.mutable_data_ptr<scalar_t>());
          C10_CUDA_KERNEL_LAUNCH_CHECK();
        });
      });
  return output;
}

at::Tensor roi_align_backward_cuda(
    const at::Tensor& grad,
    const at::Tensor& boxes,
    at::IntArrayRef input_size,
    const RoiParams& params,
    bool channels_last) {
  check_roi_gradient(grad, boxes, c10::fromIntArrayRefSlow(input_size));
  check_sampling_ratio(params.sampling_ratio);
  at::globalContext().alertNotDeterministic("step::_roi_align_backward on CUDA");
  const c10::cuda::CUDAGuard guard(grad.device());
  const auto format = memory_format(channels_last);
  const auto type = compute_type(grad);
  auto grad_features =
      at::empty(input_size, grad.options().dtype(type).memory_format(format)).zero_();
  if (grad.numel() == 0 || grad_features.numel() == 0) {
    return grad_features.to(grad.scalar_type());
  }
  const Geometry g = backward_geometry(params, input_size, grad, channels_last);
  const auto dense_grad = grad.contiguous(format);
  const auto coordinates = boxes.to(type).contiguous();
  AT_DISPATCH_FLOATING_TYPES_AND2(
      at::kHalf, at::kBFloat16, grad.scalar_type(), "roi_align_backward_cuda", [&] {
        using A = at::acc_type<scalar_t, /*is_cuda=*/true>;
        launch_over<scalar_t>(g.outputs(), false, [&](auto position, auto) {
          backward_kernel<scalar_t, A, decltype(position)>
              <<<blocks_for(g.outputs()), kThreads, 0, at::cuda::getCurrentCUDAStream()>>>(
                  dense_grad.const_data_ptr<scalar_t>(), Layout(grad_features),
                  coordinates.const_data_ptr<A>(), g, g.outputs(),
                  grad_features.mutable_data_ptr<A>());
          C10_CUDA_KERNEL_LAUNCH_CHECK();
        });
      });
  return grad_features.to(grad.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CUDA, m) {
  m.impl("roi_align", &Listed<RoiAlign::Signature, &roi_align_cuda>::call);
  m.impl("_roi_align_backward", &listed_backward<&roi_align_backward_cuda>);
}

}  // namespace step
