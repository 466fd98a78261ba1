// Smooth activations, in place.
#include "kernels/smooth_kernel.h"

#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

typedef int32_t vi __attribute__((vector_size(4 * SPARSEPASS_LANES)));

// Vectors that are computed step by step together: the steps of one wait for each other, and fill
// the processor's queue of instructions that wait.
constexpr int kTogether = 2;

// 1 + e^-x, infinity where that is out of range: e^-x = 2^(n + f) with |f| at most a half.
template <int kCount>
SPARSEPASS_INLINE void add_exponentials(const vf (&x)[kCount], vf (&sums)[kCount]) {
  // The least largest error, 9e-8 of the power, of five powers whose first is exact.
  constexpr float kPowers[] = {0.009671999f, 0.055507794f, 0.24022232f, 0.69314694f, 1.0f};
  const vf rounder = splat(12582912.0f);  // an integer that it is added to is in the last bits
  const vf each = splat(-1.44269504f);    // -1 / log 2
  vf clamped[kCount], rounded[kCount], f[kCount];
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) {
    clamped[v] = min(splat(87.0f), max(splat(-88.0f), x[v]));
    rounded[v] = fma(clamped[v], each, rounder);
  }
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) f[v] = fma(clamped[v], each, rounder - rounded[v]);
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) sums[v] = splat(0.0013254603f);
#pragma GCC unroll 5
  for (const float power : kPowers) {
#pragma GCC unroll 2
    for (int v = 0; v < kCount; ++v) sums[v] = fma(sums[v], f[v], splat(power));
  }
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) {
    const vf exponential = (vf)((vi)sums[v] + ((vi)rounded[v] << 23));
    // What the power does not reach: it goes on to infinity.
    const vf beyond = max(splat(1.0f), splat(-87.0f) - x[v]);
    sums[v] = fma(beyond, exponential, splat(1.0f));
  }
}

template <SmoothActivation kSmooth, int kCount>
SPARSEPASS_INLINE void apply(vf (&x)[kCount]) {
  vf sums[kCount];
  if (kSmooth == SmoothActivation::silu) add_exponentials(x, sums);
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) {
    if (kSmooth == SmoothActivation::silu) {
      x[v] /= sums[v];  // minus infinity becomes NaN, as in ONNX Runtime
    } else {
      const vf line = fma(x[v], splat(1.0f / 6), splat(0.5f));
      x[v] *= min(splat(1.0f), max(splat(0.0f), line));
    }
  }
}

template <SmoothActivation kSmooth, int kCount>
SPARSEPASS_INLINE void apply_to_vectors(float* y) {
  vf x[kCount];
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) x[v] = load(y + v * kLanes);
  apply<kSmooth>(x);
#pragma GCC unroll 2
  for (int v = 0; v < kCount; ++v) store(y + v * kLanes, x[v]);
}

template <SmoothActivation kSmooth>
void apply_to_rows(const SmoothJob& job) {
  // Whole rows are one long one.
  const bool whole = job.stride == job.count;
  const int64_t rows = whole ? 1 : job.rows, count = whole ? job.rows * job.count : job.count;
  for (int64_t row = 0; row < rows; ++row) {
    float* y = job.y + row * job.stride;
    int64_t i = 0;
    for (; i + kTogether * kLanes <= count; i += kTogether * kLanes) {
      apply_to_vectors<kSmooth, kTogether>(y + i);
    }
    for (; i + kLanes <= count; i += kLanes) apply_to_vectors<kSmooth, 1>(y + i);
    if (i == count) continue;
    vf rest[] = {load_first(y + i, count - i)};
    apply<kSmooth>(rest);
    store_first(y + i, rest[0], count - i);
  }
}

}  // namespace

void smooth_activation(const SmoothJob& job) {
  switch (job.smooth) {
    case SmoothActivation::hard_swish:
      return apply_to_rows<SmoothActivation::hard_swish>(job);
    case SmoothActivation::silu:
      return apply_to_rows<SmoothActivation::silu>(job);
    case SmoothActivation::none:
      return;
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
