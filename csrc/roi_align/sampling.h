// Where RoI align samples along one axis: the formulas, once, for CPU and CUDA.
#pragma once

#include <c10/macros/Macros.h>

#include <cmath>
#include <cstdint>

namespace step {

// One axis of a box on the feature map, cut into bins with `grid` samples each.
template <typename T>
struct Axis {
  T start;
  T bin;
  int64_t grid;
};

template <typename T>
C10_HOST_DEVICE Axis<T> make_axis(
    T low, T high, T scale, int64_t bins, int64_t sampling_ratio, bool aligned) {
  const T offset = aligned ? T(0.5) : T(0);
  const T start = low * scale - offset;
  T size = high * scale - offset - start;
  // An infinite or NaN size stays: no sample of such a box lies on the map.
  const bool finite = size - size == T(0);
  if (!aligned && finite && size < T(1)) {
    size = T(1);  // the legacy alignment forces malformed boxes to one pixel
  }
  int64_t grid = sampling_ratio;
  if (sampling_ratio <= 0) {
    // The limit keeps the conversion defined; no such grid has more than a few samples inside a
    // map (see sample_range). NaN compares false and gets no sample.
    const T wanted = ::ceil(size / T(bins));
    grid = wanted > T(0) ? static_cast<int64_t>(wanted < T(1e9) ? wanted : T(1e9)) : 0;
  }
  return {start, size / T(bins), grid};
}

template <typename T>
C10_HOST_DEVICE T sample_position(const Axis<T>& axis, int64_t bin, int64_t sample) {
  return axis.start + T(bin) * axis.bin + (T(sample) + T(0.5)) * axis.bin / T(axis.grid);
}

struct SampleRange {
  int64_t first;
  int64_t last;  // exclusive
};

// The samples of a bin worth testing. A box far larger than the map has an adaptive grid of any
// size, of which at most about `extent` samples fall on the map; all others contribute zero.
template <typename T>
C10_HOST_DEVICE SampleRange sample_range(const Axis<T>& axis, int64_t bin, int64_t extent) {
  const T step = axis.bin / T(axis.grid);
  if (axis.grid <= extent + 2 || !(step > T(0))) {
    return {0, axis.grid};
  }
  const T base = axis.start + T(bin) * axis.bin;
  const T grid = T(axis.grid);
  const T first = ::floor((T(-1) - base) / step) - T(2);
  const T last = ::ceil((T(extent) - base) / step) + T(2);
  return {
      first > T(0) ? static_cast<int64_t>(first < grid ? first : grid) : 0,
      last > T(0) ? static_cast<int64_t>(last < grid ? last : grid) : 0};
}

// The two neighbours of a position and their weights.
template <typename T>
struct Neighbors {
  int64_t low;
  int64_t high;
  T low_weight;
  T high_weight;
};

// False where the position is more than a pixel outside: such a sample is zero. Up to one pixel
// outside, the border's value holds.
template <typename T>
C10_HOST_DEVICE bool find_neighbors(T position, int64_t extent, Neighbors<T>& out) {
  if (!(position >= T(-1) && position <= T(extent)) || extent == 0) {
    return false;
  }
  const T inside = position > T(0) ? position : T(0);
  const int64_t low = static_cast<int64_t>(inside);
  if (low >= extent - 1) {
    out = {extent - 1, extent - 1, T(1), T(0)};
  } else {
    const T fraction = inside - T(low);
    out = {low, low + 1, T(1) - fraction, fraction};
  }
  return true;
}

}  // namespace step
