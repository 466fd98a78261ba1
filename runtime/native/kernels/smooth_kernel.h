// Signature of the micro-kernel of smooth activations.
#ifndef SPARSEPASS_KERNELS_SMOOTH_KERNEL_H_
#define SPARSEPASS_KERNELS_SMOOTH_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// y = smooth(y) for `count` neighbours in each of `rows` rows, `stride` floats apart.
struct SmoothJob {
  SmoothActivation smooth;
  float* y;
  int64_t rows, stride, count;
};
using SmoothKernel = void(const SmoothJob& job);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_SMOOTH_KERNEL_H_
