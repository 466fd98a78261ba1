// What follows the sums of a convolution: an activation, of numbers and of vectors.
#ifndef SPARSEPASS_BASE_EPILOGUE_H_
#define SPARSEPASS_BASE_EPILOGUE_H_

#include <cstdint>

namespace sparsepass {

// Smooth activations, which are no clamp: v * clamp(v / 6 + 1 / 2, 0, 1), and v / (1 + e^-v).
enum class SmoothActivation : int32_t { none, hard_swish, silu };

// Most activations are a clamp after a leaky slope: y = clamp(v >= 0 ? v : slope * v, low, high).
// Identity has slope 1 and infinite bounds, Relu slope 1 and low 0.  A smooth activation comes
// last.
struct Epilogue {
  float slope, low, high;
  SmoothActivation smooth;
};

// For floats, doubles and vectors of them, whose lanes are independent.  All are static, as kernels
// need them (simd/vector.h).

template <class V>
static inline V leaky(V value, V slope) {
  return value >= V{} ? value : value * slope;
}

// A NaN stays one.
template <class V>
static inline V clamp(V value, V low, V high) {
  value = low > value ? low : value;
  return high < value ? high : value;
}

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_EPILOGUE_H_
