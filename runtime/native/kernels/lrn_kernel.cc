// Local response normalisation, vectorised over pixels.
//
// The squares of a window are added anew for each channel: a running sum that drops the oldest
// square would keep that square's rounding error, which may be far larger than the sum.  ONNX
// Runtime has such a sum: a square that is not finite makes all channels behind its window NaN, as
// it does here.
#include "kernels/lrn_kernel.h"

#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

enum class Power { one, half, three_quarters, any };

Power power_of(float beta) {
  if (beta == 1.0f) return Power::one;
  if (beta == 0.5f) return Power::half;
  return beta == 0.75f ? Power::three_quarters : Power::any;
}

template <Power kPower>
inline vf raise(vf sum, float beta) {
  switch (kPower) {
    case Power::one:
      return sum;
    case Power::half:
      return sqrt(sum);
    case Power::three_quarters: {
      const vf root = sqrt(sum);
      return root * sqrt(root);
    }
    default:
      for (int i = 0; i < kLanes; ++i) sum[i] = __builtin_powf(sum[i], beta);
      return sum;
  }
}

// Channel `c` of one vector of pixels, or of the first `count` pixels of one.  Returns zeros, or
// NaN where the square of the channel is not finite.
template <Power kPower, bool kWhole>
inline vf normalize(const LrnJob& job, int64_t pixel, int64_t c, int64_t begin, int64_t end,
                    int64_t count) {
  vf squares = {};
  const float* x = job.x + pixel;
  for (int64_t i = begin; i < end; ++i) {
    const vf value = kWhole ? load(x + i * job.plane) : load_first(x + i * job.plane, count);
    squares = fma(value, value, squares);
  }
  const vf value = kWhole ? load(x + c * job.plane) : load_first(x + c * job.plane, count);
  const vf sum = fma(splat(job.scale), squares, splat(job.bias));
  const vf result = value / raise<kPower>(sum, job.beta);
  float* y = job.y + c * job.plane + pixel;
  if (kWhole) {
    store(y, result);
  } else {
    store_first(y, result, count);
  }
  return value * value * vf{};
}

// Makes all channels NaN behind the windows of squares that are not finite.
void spoil(const LrnJob& job) {
  for (int64_t pixel = 0; pixel < job.count; ++pixel) {
    float spoilt = 0;
    for (int64_t c = job.before + 1; c < job.channels; ++c) {
      const float left = job.x[(c - job.before - 1) * job.plane + pixel];
      spoilt += left * left * 0;
      job.y[c * job.plane + pixel] += spoilt;
    }
  }
}

template <Power kPower>
void channels_of(const LrnJob& job) {
  vf check = {};
  for (int64_t c = 0; c < job.channels; ++c) {
    const int64_t begin = c > job.before ? c - job.before : 0;
    const int64_t end = job.channels - c > job.after ? c + job.after + 1 : job.channels;
    int64_t pixel = 0;
    for (; pixel + kLanes <= job.count; pixel += kLanes) {
      check += normalize<kPower, true>(job, pixel, c, begin, end, kLanes);
    }
    if (pixel < job.count) {
      check += normalize<kPower, false>(job, pixel, c, begin, end, job.count - pixel);
    }
  }
  if (!is_zero(check)) spoil(job);
}

}  // namespace

void lrn(const LrnJob& job) {
  switch (power_of(job.beta)) {
    case Power::one:
      return channels_of<Power::one>(job);
    case Power::half:
      return channels_of<Power::half>(job);
    case Power::three_quarters:
      return channels_of<Power::three_quarters>(job);
    default:
      return channels_of<Power::any>(job);
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
