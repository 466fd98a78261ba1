// SmoothActivation activations, in place.
#include "kernels/smooth_kernel.h"

#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

typedef int32_t vi __attribute__((vector_size(4 * SPARSEPASS_LANES)));

// e^x for x from -87 to 88: 2^n e^r with |r| at most half of log 2, by the series of e^r, whose
// first term left out is below half a unit in the last place.
inline vf exponential(vf x) {
  // Adding and taking away this much rounds to an integer, which is then in the last bits.
  const vf rounder = splat(12582912.0f);
  const vf shifted = fma(x, splat(1.44269504f), rounder);
  const vf n = shifted - rounder;
  // log 2 in two parts: n times the first is exact.
  const vf r = fma(n, splat(1.42860682e-6f), fma(n, splat(-0.693148613f), x));
  vf sum = splat(1.0f / 5040);
  sum = fma(sum, r, splat(1.0f / 720));
  sum = fma(sum, r, splat(1.0f / 120));
  sum = fma(sum, r, splat(1.0f / 24));
  sum = fma(sum, r, splat(1.0f / 6));
  sum = fma(sum, r, splat(0.5f));
  sum = fma(sum, r, splat(1.0f));
  sum = fma(sum, r, splat(1.0f));
  const vi exponent = ((vi)shifted - (vi)rounder + 127) << 23;
  return sum * (vf)exponent;
}

template <SmoothActivation kSmooth>
inline vf apply(vf x) {
  if (kSmooth == SmoothActivation::hard_swish) {
    const vf line = fma(x, splat(1.0f / 6), splat(0.5f));
    return x * min(splat(1.0f), max(splat(0.0f), line));
  }
  const vf least = splat(-87.0f), most = splat(88.0f);
  // Beyond `most` the power goes on to infinity, which makes that of minus infinity NaN.
  const vf beyond = max(splat(1.0f), -x - splat(87.0f));
  return x / (splat(1.0f) + beyond * exponential(min(most, max(least, -x))));
}

template <SmoothActivation kSmooth>
void apply_to_rows(const SmoothJob& job) {
  for (int64_t row = 0; row < job.rows; ++row) {
    float* y = job.y + row * job.stride;
    int64_t i = 0;
    for (; i + kLanes <= job.count; i += kLanes) store(y + i, apply<kSmooth>(load(y + i)));
    if (i < job.count) {
      store_first(y + i, apply<kSmooth>(load_first(y + i, job.count - i)), job.count - i);
    }
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
