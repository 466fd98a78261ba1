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

// How the columns of a product are divided: the first by `lanes`, `rest` behind them along filters.
struct GemmParts {
  GemmLanes lanes;
  int64_t columns, rest;
};

// The parts that take least time, counting idle lanes and the transposition of the sums.  `padded`:
// what would fill the last vector may be read and written.
GemmParts best_gemm_parts(int64_t filters, int64_t columns, int64_t depth, bool padded,
                          const KernelTable& kernels);

// The product of a job that has the lanes and columns of the first part, and the rest behind them.
void multiply(const GemmJob& job, int64_t rest, const KernelTable& kernels);

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_GEMM_H_
