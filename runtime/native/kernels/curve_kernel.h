// Signature of the micro-kernel of smooth activations.
#ifndef SPARSEPASS_KERNELS_CURVE_KERNEL_H_
#define SPARSEPASS_KERNELS_CURVE_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// y = curve(y) for `count` neighbours in each of `rows` rows, `stride` floats apart.
struct CurveJob {
  Curve curve;
  float* y;
  int64_t rows, stride, count;
};
using CurveKernel = void(const CurveJob& job);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_CURVE_KERNEL_H_
