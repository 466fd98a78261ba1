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
  sum = leaky(sum, V(epilogue.slope - zero));
  return clamp(sum, V(epilogue.low - zero), V(epilogue.high - zero));
}

static inline vf activate(vf sum, const Epilogue& epilogue) {
  sum = leaky(sum, splat(epilogue.slope));
  return min(splat(epilogue.high), max(splat(epilogue.low), sum));
}

// Turns a vector of sums into the outputs from y[at] on, up to a smooth activation, `count` or a
// whole vector if those are more.  `residual` is null or laid out as y.
static inline void store_outputs(vf sum, const float* residual, const Epilogue& epilogue, float* y,
                                 int64_t at, int64_t count) {
  if (count >= kLanes) {
    if (residual != nullptr) sum += load(residual + at);
    store(y + at, activate(sum, epilogue));
  } else {
    if (residual != nullptr) sum += load_first(residual + at, count);
    store_first(y + at, activate(sum, epilogue), count);
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_EPILOGUE_H_
