#include "dense/gemm.h"

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

namespace {

// Time of a product in multiplications, idle lanes and the transposition of the sums among them.
double time_by_columns(int64_t filters, int64_t columns, int64_t lanes) {
  return static_cast<double>(round_up(columns, lanes) * filters);
}

double time_by_filters(int64_t filters, int64_t columns, int64_t depth,
                       const KernelTable& kernels) {
  const double transposition = kernels.tuning.transposition_multiplies;
  return static_cast<double>(round_up(filters, kernels.gemm_lanes()) * columns) *
         (1 + transposition / static_cast<double>(depth));
}

}  // namespace

GemmLanes best_gemm_lanes(int64_t filters, int64_t columns, int64_t depth,
                          const KernelTable& kernels) {
  const double by_columns = time_by_columns(filters, columns, kernels.gemm_lanes());
  const double by_filters = time_by_filters(filters, columns, depth, kernels);
  return by_columns <= by_filters ? GemmLanes::columns : GemmLanes::filters;
}

void multiply(GemmJob job, const KernelTable& kernels) {
  const int64_t lanes = kernels.gemm_lanes(), columns = job.columns;
  const int64_t depth = job.panel_rows * job.window, whole = columns / lanes * lanes;
  // Every two blocks of filters read all columns anew, which the first-level cache has to serve.
  const bool near = depth * columns <= floats_in(1, caches().data);
  job.lanes = near ? best_gemm_lanes(job.filters, columns, depth, kernels) : GemmLanes::columns;
  if (whole == 0 || whole == columns) return kernels.gemm(job);
  const GemmLanes rest = best_gemm_lanes(job.filters, columns - whole, depth, kernels);
  const double together = job.lanes == GemmLanes::columns
                              ? time_by_columns(job.filters, columns, lanes)
                              : time_by_filters(job.filters, columns, depth, kernels);
  const double apart = time_by_columns(job.filters, whole, lanes) +
                       time_by_filters(job.filters, columns - whole, depth, kernels);
  if (rest == GemmLanes::columns || together <= apart) return kernels.gemm(job);
  job.lanes = GemmLanes::columns;
  job.columns = whole;
  kernels.gemm(job);
  job.lanes = rest;
  job.columns = columns - whole;
  job.panel += whole;
  job.out += whole;
  if (job.residual != nullptr) job.residual += whole;
  kernels.gemm(job);
}

}  // namespace sparsepass
