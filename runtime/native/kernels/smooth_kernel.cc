// SmoothActivation activations, in place.
#include "kernels/smooth_kernel.h"

#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// e^x = 2^n e^r with |r| at most half of log 2.
struct Split {
  vf n, power;  // n and e^r
};

inline Split split_exponential(vf x) {
  // Adding and taking away this much rounds to an integer.
  const vf rounder = splat(12582912.0f);
  const vf n = fma(x, splat(1.44269504f), rounder) - rounder;
  // log 2 in two parts: n times the first is exact.
  const vf r = fma(n, splat(1.42860682e-6f), fma(n, splat(-0.693148613f), x));
  // The least largest error, 5e-9 of the power, of six powers whose first two are exact.
  vf sum = splat(0.0013814496f);
  sum = fma(sum, r, splat(0.008368752f));
  sum = fma(sum, r, splat(0.041668393f));
  sum = fma(sum, r, splat(0.1666652f));
  sum = fma(sum, r, splat(0.49999994f));
  sum = fma(sum, r, splat(1.0f));
  sum = fma(sum, r, splat(1.0f));
  return {n, sum};
}

// 1 + e^-x: infinity where that is out of range.
inline vf one_and_exponential(vf x) {
#if defined(__AVX512F__)
  const Split e = split_exponential(max(splat(-104.0f), min(splat(104.0f), -x)));
  return splat(1.0f) + (vf)_mm512_maskz_scalef_ps(0xFFFF, (__m512)e.power, (__m512)e.n);
#else
  typedef int32_t vi __attribute__((vector_size(4 * SPARSEPASS_LANES)));
  const Split e = split_exponential(max(splat(-87.0f), min(splat(88.0f), -x)));
  const vf rounder = splat(12582912.0f);  // an integer that it is added to is in the last bits
  const vi exponent = ((vi)(e.n + rounder) - (vi)rounder + 127) << 23;
  // What the power does not reach: it goes on to infinity.
  const vf beyond = max(splat(1.0f), -x - splat(87.0f));
  return fma(beyond, e.power * (vf)exponent, splat(1.0f));
#endif
}

template <SmoothActivation kSmooth>
inline vf apply(vf x) {
  if (kSmooth == SmoothActivation::hard_swish) {
    const vf line = fma(x, splat(1.0f / 6), splat(0.5f));
    return x * min(splat(1.0f), max(splat(0.0f), line));
  }
  // Minus infinity becomes NaN, as in ONNX Runtime.
  return x / one_and_exponential(x);
}

template <SmoothActivation kSmooth>
void apply_to_rows(const SmoothJob& job) {
  // Whole rows are one long one.
  const bool whole = job.stride == job.count;
  const int64_t rows = whole ? 1 : job.rows, count = whole ? job.rows * job.count : job.count;
  for (int64_t row = 0; row < rows; ++row) {
    float* y = job.y + row * job.stride;
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) store(y + i, apply<kSmooth>(load(y + i)));
    if (i < count) store_first(y + i, apply<kSmooth>(load_first(y + i, count - i)), count - i);
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
