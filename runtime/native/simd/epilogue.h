// Applying an epilogue to vectors of sums, for the instruction set of this file.
#ifndef SPARSEPASS_SIMD_EPILOGUE_H_
#define SPARSEPASS_SIMD_EPILOGUE_H_

#include "base/epilogue.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// For vectors of any length, and for floats; without the smooth activation.
template <class V>
static inline V activate(V sum, const Epilogue& epilogue) {
  const V zero = {};
  if (__builtin_expect(epilogue.slope != 1.0f, 0)) sum = leaky(sum, V(epilogue.slope - zero));
  return clamp(sum, V(epilogue.low - zero), V(epilogue.high - zero));
}

// The same for a whole loop: what stores of floats cannot change is not read again.
class Activation {
 public:
  explicit Activation(const Epilogue& epilogue)
      : slope_(epilogue.slope), low_(splat(epilogue.low)), high_(splat(epilogue.high)) {}
  SPARSEPASS_INLINE vf operator()(vf sum) const {
    if (__builtin_expect(slope_ != 1.0f, 0)) sum = leaky(sum, splat(slope_));
    return min(high_, max(low_, sum));
  }
  // Of many at once: loop by loop, so that the question is asked only once.
  template <int kCount>
  SPARSEPASS_INLINE void apply(vf (&sums)[kCount]) const {
    if (__builtin_expect(slope_ != 1.0f, 0)) {
#pragma GCC unroll 32
      for (int i = 0; i < kCount; ++i) sums[i] = leaky(sums[i], splat(slope_));
    }
#pragma GCC unroll 32
    for (int i = 0; i < kCount; ++i) sums[i] = min(high_, max(low_, sums[i]));
  }

 private:
  float slope_;
  vf low_, high_;
};

// Turns a vector of sums into the outputs from y[at] on, up to a smooth activation, `count` or a
// whole vector if those are more.  `residual` is null or laid out as y.
SPARSEPASS_INLINE static void store_outputs(vf sum, const float* residual,
                                            const Activation& activation, float* y, int64_t at,
                                            int64_t count) {
  if (count >= kLanes) {
    if (residual != nullptr) sum += load(residual + at);
    store(y + at, activation(sum));
  } else {
    if (residual != nullptr) sum += load_first(residual + at, count);
    store_first(y + at, activation(sum), count);
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_EPILOGUE_H_
