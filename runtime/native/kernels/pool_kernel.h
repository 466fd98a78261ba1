// Signature of the micro-kernel of max pooling.
#ifndef SPARSEPASS_KERNELS_POOL_KERNEL_H_
#define SPARSEPASS_KERNELS_POOL_KERNEL_H_

#include <cstdint>

#include "base/pooling.h"

namespace sparsepass {

// All outputs of `planes` neighbouring planes.
struct PoolJob {
  const PoolParams* params;
  const float* x;
  float* y;
  int64_t planes, in_h, in_w, out_h, out_w;
  float* rows;  // memory for tuning.pool_rows * pool_row_floats(*params, out_w) floats
};
using PoolKernel = void(const PoolJob& job);

// Input elements, or padding, that a row of outputs reads.
static inline int64_t pool_row_length(const PoolParams& params, int64_t out_w) {
  return (out_w - 1) * params.stride_w + params.kernel_w;
}

// With room for two of the widest vectors that begin at the last of them.
static inline int64_t pool_row_floats(const PoolParams& params, int64_t out_w) {
  return pool_row_length(params, out_w) + 32;
}

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_POOL_KERNEL_H_
