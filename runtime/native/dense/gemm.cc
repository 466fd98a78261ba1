#include "dense/gemm.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "base/machine.h"

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

GemmParts best_gemm_parts(int64_t filters, int64_t columns, int64_t depth, bool padded,
                          const KernelTable& kernels) {
  // Times in multiplications.
  const int64_t lanes = kernels.gemm_lanes(), whole = columns / lanes * lanes;
  const auto by_columns = [&](int64_t n) {
    return static_cast<double>(round_up(n, lanes) * filters);
  };
  const double transposed =
      1 + static_cast<double>(kernels.tuning.transposition_multiplies) / static_cast<double>(depth);
  const auto by_filters = [&](int64_t n) {
    return static_cast<double>(n * round_up(filters, lanes)) * transposed;
  };
  // Every two blocks of filters read all columns anew, which the first-level cache has to serve.
  const bool near = depth * columns <= floats_in(1, caches().data);
  const double apart = by_columns(whole) + by_filters(columns - whole);
  if (near && by_filters(columns) <= std::min(apart, by_columns(columns))) {
    return {GemmLanes::filters, columns, 0};
  }
  if (whole > 0 && apart < by_columns(columns)) {
    return {GemmLanes::columns, whole, columns - whole};
  }
  return {GemmLanes::columns, padded ? round_up(columns, lanes) : columns, 0};
}

void multiply(const GemmJob& job, int64_t rest, const KernelTable& kernels) {
  kernels.gemm(job);
  if (rest == 0) return;
  GemmJob last = job;
  last.lanes = GemmLanes::filters;
  last.columns = rest;
  last.panel += job.columns;
  last.out += job.columns;
  if (last.residual != nullptr) last.residual += job.columns;
  kernels.gemm(last);
}

}  // namespace sparsepass
