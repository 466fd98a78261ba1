// What the convolutions that lower to a dense matrix product share: packed weights, and the choice
// of a kernel for a shape.
#ifndef SPARSEPASS_DENSE_GEMM_H_
#define SPARSEPASS_DENSE_GEMM_H_

#include <cstdint>
#include <functional>

#include "kernels/table.h"

namespace sparsepass {

// Packs the weight of one product for GemmJob: element (filter, depth) is
// weight[filter * filter_stride + order(depth)].  `packed` takes
// round_up(filters, lanes) * depth floats.
void pack_gemm_weight(const float* weight, int64_t filters, int64_t filter_stride, int64_t depth,
                      const std::function<int64_t(int64_t)>& order, int64_t lanes, float* packed);

// The kernel that takes less time, counting idle lanes and the transposition of the sums.
GemmLanes best_gemm_lanes(int64_t filters, int64_t columns, int64_t depth,
                          const KernelTable& kernels);

// The product of a job whose `lanes` this chooses, for its columns apart where that takes less
// time: those that fill vectors, and the rest.
void multiply(GemmJob job, const KernelTable& kernels);

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_GEMM_H_
