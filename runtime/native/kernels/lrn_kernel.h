// Signature of the micro-kernel of local response normalisation.
#ifndef SPARSEPASS_KERNELS_LRN_KERNEL_H_
#define SPARSEPASS_KERNELS_LRN_KERNEL_H_

#include <cstdint>

namespace sparsepass {

// All channels of `count` neighbouring pixels; channels lie `plane` floats apart.  Channel c is
// divided by (bias + scale * sum of the squares of channels c - before .. c + after)^beta.
struct LrnJob {
  const float* x;
  float* y;
  int64_t count, channels, plane;
  int64_t before, after;
  float scale, beta, bias;
};
using LrnKernel = void(const LrnJob& job);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_LRN_KERNEL_H_
