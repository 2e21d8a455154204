// Hot CPU loops, compiled for several processor levels in one binary.
#pragma once

#include <ATen/Version.h>

#include <string>

// A kernel must be inlined into its caller below, or it would be compiled for the oldest level.
#if defined(__GNUC__)
#define STEP_INLINE inline __attribute__((always_inline))
#define STEP_RESTRICT __restrict__
#else
#define STEP_INLINE __forceinline
#define STEP_RESTRICT __restrict
#endif

namespace step {

#if defined(__GNUC__)
// `Bytes` of T in one register, at any address. Explicit vectors, since left to itself GCC merges
// two nested loops such as those of RoI align into one that it does not vectorise.
template <typename T, int Bytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(Bytes), aligned(alignof(T)), may_alias));
};
template <typename T, int Bytes>
using Vector = typename VectorOf<T, Bytes>::type;
#endif

#if defined(__GNUC__) && defined(__x86_64__)
template <typename Kernel, typename... Args>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))) void run_avx512(Args... args) {
  Kernel::template run<64>(args...);
}

template <typename Kernel, typename... Args>
__attribute__((target("avx2,fma"))) void run_avx2(Args... args) {
  Kernel::template run<32>(args...);
}

enum class Level { kBaseline, kAvx2, kAvx512 };

// What torch's own kernels use, so that ATEN_CPU_CAPABILITY governs these too.
inline Level processor_level() {
  static const Level level = [] {
    const std::string name = at::get_cpu_capability();
    return name == "AVX512" ? Level::kAvx512 : name == "AVX2" ? Level::kAvx2 : Level::kBaseline;
  }();
  return level;
}
#endif

// Runs Kernel::run<Bytes>(args...), with the register size of this machine. A plain build would
// use the oldest x86-64, 4 floats an instruction; -march=native would not run elsewhere.
template <typename Kernel, typename... Args>
void run_vectorized(Args... args) {
#if defined(__GNUC__) && defined(__x86_64__)
  switch (processor_level()) {
    case Level::kAvx512:
      return run_avx512<Kernel>(args...);
    case Level::kAvx2:
      return run_avx2<Kernel>(args...);
    case Level::kBaseline:
      break;
  }
#endif
  Kernel::template run<16>(args...);
}

}  // namespace step
