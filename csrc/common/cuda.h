// Launch helpers for the CUDA kernels.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>

namespace step {

constexpr int kThreads = 256;

// Kernels stride over their elements, so a bounded grid serves any number of them.
inline int blocks_for(int64_t elements) {
  return static_cast<int>(std::min<int64_t>((elements + kThreads - 1) / kThreads, 65535));
}

// Element (item, channel, row, column) of a four-dimensional tensor with any strides.
struct Layout {
  int64_t item, channel, row, column;

  explicit Layout(const at::Tensor& t)
      : item(t.stride(0)), channel(t.stride(1)), row(t.stride(2)), column(t.stride(3)) {}

  __host__ __device__ int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return n * item + c * channel + h * row + w * column;
  }
};

struct Index {
  int64_t item, channel, row, column;
};

// Position i of a dense [items, channels, height, width] tensor, in the order of its memory, so
// that neighbouring threads touch neighbouring elements in either layout.
__device__ inline Index unravel(
    int64_t i, int64_t channels, int64_t height, int64_t width, bool channels_last) {
  Index index;
  if (channels_last) {
    index.channel = i % channels;
    i /= channels;
  }
  index.column = i % width;
  i /= width;
  index.row = i % height;
  i /= height;
  if (!channels_last) {
    index.channel = i % channels;
    i /= channels;
  }
  index.item = i;
  return index;
}

}  // namespace step
