// Which feature pixels a bin of RoI pooling covers along one axis, once, for CPU and CUDA.
#pragma once

#include <c10/macros/Macros.h>

#include <cmath>
#include <cstdint>

namespace step {

struct PixelRange {
  int64_t first;
  int64_t last;  // exclusive
};

// Box corners are rounded to feature pixels, both ends belong to the box, and it is at least one
// pixel long. Neighbouring bins may share a pixel. The range is clipped to the map; all is
// computed in floating point, since a wild box may not fit an integer. A box whose size is no finite
// number covers nothing; corners count up to 2^22 pixels away, where float32 still knows every
// integer and every difference of two.
template <typename T>
C10_HOST_DEVICE PixelRange bin_range(
    T low, T high, T scale, int64_t bin, int64_t bins, int64_t extent) {
  const T farthest = T(1 << 22);
  const T difference = high * scale - low * scale;
  if (!(difference - difference == T(0))) {
    return {0, 0};
  }
  const T start = ::fmax(-farthest, ::fmin(farthest, ::round(low * scale)));
  const T end = ::fmax(-farthest, ::fmin(farthest, ::round(high * scale)));
  const T length = end - start + T(1);
  const T size = (length > T(1) ? length : T(1)) / T(bins);
  const T first = ::floor(T(bin) * size) + start;
  const T last = ::ceil(T(bin + 1) * size) + start;
  const T limit = T(extent);
  return {
      first > T(0) ? static_cast<int64_t>(first < limit ? first : limit) : 0,
      last > T(0) ? static_cast<int64_t>(last < limit ? last : limit) : 0};
}

}  // namespace step
