// NMS on CUDA: all overlaps at once as a bit matrix, then one block walks it greedily, of all classes
// one each. Both stay on the device; the only synchronisation is the one that learns the length of
// the result of a single class.
#include "nms.h"

#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
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

// boxes [count, 4]. Bit j of overlaps[i][tile] says that the IoU of box i and box tile * 64 + j is above
// the threshold. Where the boxes are sorted only those after i matter, and blocks below the diagonal
// have nothing to do.
template <typename T, bool kSorted>
__global__ void overlap_kernel(
    const T* boxes, int64_t count, T threshold, unsigned long long* overlaps) {
  const int64_t row_tile = blockIdx.y, column_tile = blockIdx.x;
  if (kSorted && row_tile > column_tile) {
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
    if ((!kSorted || column_begin + j > i) && iou(boxes + i * 4, tile + j * 4) > threshold) {
      bits |= 1ULL << j;
    }
  }
  overlaps[i * gridDim.x + column_tile] = bits;
}

// One block, sorted boxes. Tile after tile: one thread settles its 64 boxes among themselves, then all
// together add what the kept ones suppress in later tiles.
__global__ void greedy_kernel(
    const unsigned long long* overlaps, int64_t count, int64_t tiles, bool* keep) {
  extern __shared__ unsigned long long suppressed[];
  __shared__ unsigned long long own[kTile];
  __shared__ unsigned long long kept;
  for (int64_t t = threadIdx.x; t < tiles; t += blockDim.x) {
    suppressed[t] = 0;
  }
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t first = tile * kTile;
    const int boxes = static_cast<int>(min(count - first, static_cast<int64_t>(kTile)));
    if (threadIdx.x < boxes) {
      own[threadIdx.x] = overlaps[(first + threadIdx.x) * tiles + tile];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      unsigned long long gone = suppressed[tile], stay = 0;
      for (int b = 0; b < boxes; ++b) {
        if (!(gone >> b & 1ULL)) {
          stay |= 1ULL << b;
          gone |= own[b];
        }
      }
      kept = stay;
    }
    __syncthreads();
    if (threadIdx.x < boxes) {
      keep[first + threadIdx.x] = kept >> threadIdx.x & 1ULL;
    }
    for (int64_t t = tile + 1 + threadIdx.x; t < tiles; t += blockDim.x) {
      unsigned long long bits = 0;
      for (unsigned long long left = kept; left; left &= left - 1) {
        bits |= overlaps[(first + __ffsll(left) - 1) * tiles + t];
      }
      suppressed[t] |= bits;
    }
  }
}

// A block per class, which goes through its boxes in its own order. scores and kept [count, classes],
// order [classes, count].
template <typename T>
__global__ void greedy_classes_kernel(
    const unsigned long long* overlaps, const int64_t* order, const T* scores, T least,
    int64_t count, int64_t classes, int64_t tiles, bool* kept) {
  extern __shared__ unsigned long long suppressed[];
  const int64_t c = blockIdx.x;
  for (int64_t t = threadIdx.x; t < tiles; t += blockDim.x) {
    suppressed[t] = 0;
  }
  for (int64_t rank = 0; rank < count; ++rank) {
    __syncthreads();
    const int64_t i = order[c * count + rank];
    const bool stays =
        scores[i * classes + c] > least && !(suppressed[i / kTile] >> (i % kTile) & 1ULL);
    __syncthreads();  // a box suppresses itself: all must have read before one writes
    if (stays) {  // the same for all threads
      if (threadIdx.x == 0) {
        kept[i * classes + c] = true;
      }
      for (int64_t t = threadIdx.x; t < tiles; t += blockDim.x) {
        suppressed[t] |= overlaps[i * tiles + t];
      }
    }
  }
}

// The words of suppressed bits that a block has room for: every card has that much without asking.
constexpr int64_t kSharedLimit = 44 * 1024;

int64_t count_tiles(int64_t count) {
  const int64_t tiles = (count + kTile - 1) / kTile;
  TORCH_CHECK_VALUE(
      tiles * static_cast<int64_t>(sizeof(unsigned long long)) <= kSharedLimit,
      "nms on CUDA takes at most ", kSharedLimit / 8 * kTile, " boxes, got ", count);
  return tiles;
}

int threads_for(int64_t tiles) {
  return static_cast<int>(std::clamp<int64_t>((tiles + 31) / 32 * 32, kTile, 1024));
}

// The bit matrix [count, tiles] of contiguous boxes.
template <bool kSorted>
at::Tensor overlaps_of(const at::Tensor& boxes, int64_t tiles, double iou_threshold) {
  const int64_t count = boxes.size(0);
  auto overlaps = at::empty({count, tiles}, boxes.options().dtype(at::kLong));
  auto* words = reinterpret_cast<unsigned long long*>(overlaps.mutable_data_ptr<int64_t>());
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(tiles));
  AT_DISPATCH_FLOATING_TYPES(boxes.scalar_type(), "nms_cuda", [&] {
    overlap_kernel<scalar_t, kSorted><<<grid, kTile, 0, at::cuda::getCurrentCUDAStream()>>>(
        boxes.const_data_ptr<scalar_t>(), count, static_cast<scalar_t>(iou_threshold), words);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return overlaps;
}

const unsigned long long* words_of(const at::Tensor& overlaps) {
  return reinterpret_cast<const unsigned long long*>(overlaps.const_data_ptr<int64_t>());
}

at::Tensor nms_cuda(const at::Tensor& boxes, const at::Tensor& scores, double iou_threshold) {
  check_nms_inputs(boxes, scores);
  const int64_t count = boxes.size(0);
  if (count == 0) {
    return at::empty({0}, boxes.options().dtype(at::kLong));
  }
  const c10::cuda::CUDAGuard guard(boxes.device());
  const int64_t tiles = count_tiles(count);
  const auto order = scores.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto sorted = boxes.to(compute_type(boxes)).index_select(0, order).contiguous();
  const auto overlaps = overlaps_of<true>(sorted, tiles, iou_threshold);
  auto keep = at::empty({count}, boxes.options().dtype(at::kBool));
  greedy_kernel<<<
      1, threads_for(tiles), tiles * sizeof(unsigned long long), at::cuda::getCurrentCUDAStream()>>>(
      words_of(overlaps), count, tiles, keep.mutable_data_ptr<bool>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return order.masked_select(keep);
}

at::Tensor nms_classes_cuda(
    const at::Tensor& boxes,
    const at::Tensor& scores,
    double iou_threshold,
    double score_threshold) {
  check_nms_classes_inputs(boxes, scores);
  const int64_t count = scores.size(0), classes = scores.size(1);
  auto kept = at::zeros({count, classes}, scores.options().dtype(at::kBool));
  if (kept.numel() == 0) {
    return kept;
  }
  const c10::cuda::CUDAGuard guard(boxes.device());
  const int64_t tiles = count_tiles(count);
  const auto corners = boxes.to(compute_type(boxes)).contiguous();
  const auto overlaps = overlaps_of<false>(corners, tiles, iou_threshold);
  const auto values = scores.to(compute_type(scores)).contiguous();
  const auto order = values.t().argsort(/*stable=*/true, /*dim=*/1, /*descending=*/true).contiguous();
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "nms_classes_cuda", [&] {
    greedy_classes_kernel<scalar_t><<<
        static_cast<unsigned>(classes), threads_for(tiles), tiles * sizeof(unsigned long long),
        at::cuda::getCurrentCUDAStream()>>>(
        words_of(overlaps), order.const_data_ptr<int64_t>(), values.const_data_ptr<scalar_t>(),
        static_cast<scalar_t>(score_threshold), count, classes, tiles,
        kept.mutable_data_ptr<bool>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return kept;
}

}  // namespace

TORCH_LIBRARY_IMPL(step, CUDA, m) {
  m.impl("nms", &nms_cuda);
  m.impl("nms_classes", &nms_classes_cuda);
}

}  // namespace step
