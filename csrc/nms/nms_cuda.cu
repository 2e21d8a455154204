// NMS on CUDA: all overlaps at once as a bit matrix, then one block walks it greedily. Both stay
// on the device; the only synchronisation is the one that learns the length of the result.
#include "nms.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "../common/checks.h"
#include "../common/cuda.h"

namespace step {
namespace {

constexpr int kTile = 64;  // boxes per word of the bit matrix

template <typename T>
__device__ T iou(const T* a, const T* b) {
  const T w = min(a[2], b[2]) - max(a[0], b[0]);
  const T h = min(a[3], b[3]) - max(a[1], b[1]);
  const T intersection = max(w, T(0)) * max(h, T(0));
  const T area_a = (a[2] - a[0]) * (a[3] - a[1]);
  const T area_b = (b[2] - b[0]) * (b[3] - b[1]);
  return intersection / (area_a + area_b - intersection);
}

// boxes [count, 4], sorted. Bit j of overlaps[i][tile] says that box i suppresses box
// tile * 64 + j. Only boxes after i matter, so blocks below the diagonal have nothing to do.
template <typename T>
__global__ void overlap_kernel(
    const T* boxes, int64_t count, T threshold, unsigned long long* overlaps) {
  const int64_t row_tile = blockIdx.y, column_tile = blockIdx.x;
  if (row_tile > column_tile) {
    return;
  }
  const int64_t column_begin = column_tile * kTile;
  const int columns = static_cast<int>(min(count - column_begin, static_cast<int64_t>(kTile)));
  __shared__ T tile[kTile * 4];
  if (threadIdx.x < columns) {
    for (int k = 0; k < 4; ++k) {
      tile[threadIdx.x * 4 + k] = boxes[(column_begin + threadIdx.x) * 4 + k];
    }
  }
  __syncthreads();
  const int64_t i = row_tile * kTile + threadIdx.x;
  if (i >= count) {
    return;
  }
  unsigned long long bits = 0;
  for (int j = 0; j < columns; ++j) {
    if (column_begin + j > i && iou(boxes + i * 4, tile + j * 4) > threshold) {
      bits |= 1ULL << j;
    }
  }
  overlaps[i * gridDim.x + column_tile] = bits;
}

// One block: its threads hold the suppressed bits of all boxes in shared memory and go through the
// boxes together.
__global__ void greedy_kernel(
    const unsigned long long* overlaps, int64_t count, int64_t tiles, bool* keep) {
  extern __shared__ unsigned long long suppressed[];
  for (int64_t t = threadIdx.x; t < tiles; t += blockDim.x) {
    suppressed[t] = 0;
  }
  for (int64_t i = 0; i < count; ++i) {
    __syncthreads();
    const bool kept = !(suppressed[i / kTile] >> (i % kTile) & 1ULL);
    if (threadIdx.x == 0) {
      keep[i] = kept;
    }
    if (kept) {  // the same for all threads
      // No thread may write bits of this word before all have read it; a box never suppresses
      // itself, so what is read stays true.
      for (int64_t t = i / kTile + threadIdx.x; t < tiles; t += blockDim.x) {
        suppressed[t] |= overlaps[i * tiles + t];
      }
    }
  }
}

at::Tensor nms_cuda(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  check_nms_inputs(boxes, scores);
  const int64_t count = boxes.size(0);
  if (count == 0) {
    return at::empty({0}, boxes.options().dtype(at::kLong));
  }
  const c10::cuda::CUDAGuard guard(boxes.device());
  const int64_t tiles = (count + kTile - 1) / kTile;
  const int64_t shared_bytes = tiles * static_cast<int64_t>(sizeof(unsigned long long));
  const int64_t shared_limit = 48 * 1024;  // every card has it without asking
  TORCH_CHECK_VALUE(
      shared_bytes <= shared_limit,
      "nms on CUDA takes at most ", shared_limit / 8 * kTile, " boxes, got ", count);

  const auto type = compute_type(boxes);
  const auto order = scores.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto sorted = boxes.to(type).index_select(0, order).contiguous();
  auto overlaps = at::empty({count, tiles}, boxes.options().dtype(at::kLong));
  auto keep = at::empty({count}, boxes.options().dtype(at::kBool));
  auto* words = reinterpret_cast<unsigned long long*>(overlaps.mutable_data_ptr<int64_t>());
  const auto stream = at::cuda::getCurrentCUDAStream();
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(tiles));
  AT_DISPATCH_FLOATING_TYPES(type, "nms_cuda", [&] {
    overlap_kernel<scalar_t><<<grid, kTile, 0, stream>>>(
        sorted.const_data_ptr<scalar_t>(), count, static_cast<scalar_t>(iou_threshold), words);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  const int threads = static_cast<int>(std::min<int64_t>(1024, (tiles + 31) / 32 * 32));
  greedy_kernel<<<1, threads, shared_bytes, stream>>>(
      words, count, tiles, keep.mutable_data_ptr<bool>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return order.masked_select(keep);
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CUDA, m) {
  m.impl("nms", &nms_cuda);
}

}  // namespace step
