#include "dense/gemm.h"

#include "base/arithmetic.h"

namespace sparsepass {

void pack_gemm_weight(const float* weight, int64_t filters, int64_t filter_stride, int64_t depth,
                      const std::function<int64_t(int64_t)>& order, int64_t lanes, float* packed) {
  for (int64_t d = 0; d < depth; ++d) {
    const float* from = weight + order(d);
    for (int64_t f = 0; f < round_up(filters, lanes); ++f) {
      packed[(f / lanes * depth + d) * lanes + f % lanes] =
          f < filters ? from[f * filter_stride] : 0;
    }
  }
}

GemmLanes best_gemm_lanes(int64_t filters, int64_t columns, int64_t depth,
                          const KernelTable& kernels) {
  const int64_t lanes = kernels.gemm_lanes();
  double by_columns = static_cast<double>(round_up(columns, lanes) * filters);
  double by_filters = static_cast<double>(round_up(filters, lanes) * columns);
  const double transposition = kernels.tuning.transposition_multiplies;
  by_filters *= 1 + transposition / static_cast<double>(depth);
  return by_columns <= by_filters ? GemmLanes::columns : GemmLanes::filters;
}

}  // namespace sparsepass
