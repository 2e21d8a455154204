// Launch helpers for the CUDA kernels.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

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

// Positions are counted in 32 bits where they fit: a division of 64 bits takes a GPU several times
// as long, and every thread makes four.
constexpr int64_t kFewest64 = int64_t(1) << 30;  // a thread's next position still fits 32 bits

template <typename I>
struct Index {
  I item, channel, row, column;
};

// Position i of a dense [items, channels, height, width] tensor, in the order of its memory, so
// that neighbouring threads touch neighbouring elements in either layout.
template <typename I>
__device__ Index<I> unravel(I i, I channels, I height, I width, bool channels_last) {
  Index<I> index;
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

// Calls visit(i) for the positions below count that are this thread's.
template <typename I, typename Visit>
__device__ void for_each_position(int64_t count, Visit visit) {
  const I end = static_cast<I>(count);
  const I stride = static_cast<I>(gridDim.x) * blockDim.x;
  for (I i = static_cast<I>(blockIdx.x) * blockDim.x + threadIdx.x; i < end; i += stride) {
    visit(i);
  }
}

// V neighbouring elements, read or written at once.
template <typename T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

// How many channels a thread takes at once: as many as 16 bytes hold.
template <typename T>
constexpr int kPacked = 16 / sizeof(T);

// Whether elements lie so that each pack of V channels can be read at once.
template <int V>
bool is_packed(const at::Tensor& t) {
  return t.stride(1) == 1 && t.size(1) % V == 0 && t.stride(0) % V == 0 && t.stride(2) % V == 0 &&
      t.stride(3) % V == 0 &&
      reinterpret_cast<uintptr_t>(t.const_data_ptr()) % (V * t.element_size()) == 0;
}

// Calls launch(I(), std::integral_constant<int, V>()): the type of positions, and how many channels a
// thread takes at once.
template <typename T, typename Launch>
void launch_over(int64_t count, bool packed, Launch launch) {
  using One = std::integral_constant<int, 1>;
  using Many = std::integral_constant<int, kPacked<T>>;
  const bool few = count < kFewest64;
  if (few && packed) {
    launch(int32_t(), Many());
  } else if (few) {
    launch(int32_t(), One());
  } else if (packed) {
    launch(int64_t(), Many());
  } else {
    launch(int64_t(), One());
  }
}

}  // namespace step
