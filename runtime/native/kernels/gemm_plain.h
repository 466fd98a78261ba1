// Products of whole vectors, whose sums leave from registers.  For gemm_kernel.cc alone.
//
// Many are short, so that what surrounds the multiply-adds counts: all filters of a strip in one
// loop, and four rows a turn.
#ifndef SPARSEPASS_KERNELS_GEMM_PLAIN_H_
#define SPARSEPASS_KERNELS_GEMM_PLAIN_H_

#include <cstdint>

#include "kernels/gemm_finish.h"
#include "kernels/gemm_kernel.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

constexpr int kRowsPerTurn = 4;

// Adds the products of `kFilters` weights with the vectors x to sums[filter * kVectors + vector].
//
// A recursion: GCC keeps an array that several loops share in registers only where each index is a
// constant from the start.
template <int kFilters, int kVectors, int kAt = 0>
SPARSEPASS_INLINE void add_products(vf (&sums)[kFilters * kVectors], const vf (&x)[kVectors],
                                    const float* weight, vf each = vf{}) {
  if constexpr (kAt < kFilters * kVectors) {
    if (kAt % kVectors == 0) each = splat(weight[kAt / kVectors]);
    sums[kAt] = fma(each, x[kAt % kVectors], sums[kAt]);
    add_products<kFilters, kVectors, kAt + 1>(sums, x, weight, each);
  }
}

// The same for the vectors at `row`.
template <int kFilters, int kVectors>
SPARSEPASS_INLINE void add_row(vf (&sums)[kFilters * kVectors], const float* row,
                               const float* weight) {
  // Rows one after the other: mixed, they would take more registers than there are.
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  vf x[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) x[v] = load(row + v * kLanes);
  add_products<kFilters, kVectors>(sums, x, weight);
}

// Rows of a panel from one column on.
struct PanelRows {
  const float* first;
  int64_t stride;
  const float* whole;  // behind the last whole turn
  const float* end;
};

// One register tile of the filters at `weight`.  kAccumulate: sums are added to what `out` holds;
// kComplete: they are completed, with the biases and the residual at these addresses.
template <int kFilters, int kVectors, bool kAccumulate, bool kComplete>
SPARSEPASS_INLINE void plain_tile(const PanelRows& rows, const float* weight, const float* bias,
                                  const float* residual, const Epilogue& epilogue, float* out,
                                  int64_t out_stride) {
  vf sums[kFilters * kVectors];
#pragma GCC unroll 32
  for (int i = 0; i < kFilters * kVectors; ++i) {
    const float* const from = out + i / kVectors * out_stride + i % kVectors * kLanes;
    sums[i] = kAccumulate ? load(from) : vf{};
  }
  const float* row = rows.first;
  const int64_t stride = rows.stride;
  for (; row != rows.whole; row += kRowsPerTurn * stride, weight += kRowsPerTurn * kLanes) {
    add_row<kFilters, kVectors>(sums, row, weight);
    add_row<kFilters, kVectors>(sums, row + stride, weight + kLanes);
    add_row<kFilters, kVectors>(sums, row + 2 * stride, weight + 2 * kLanes);
    add_row<kFilters, kVectors>(sums, row + 3 * stride, weight + 3 * kLanes);
  }
#pragma GCC unroll 1
  for (; row != rows.end; row += stride, weight += kLanes) {
    add_row<kFilters, kVectors>(sums, row, weight);
  }
  if (kComplete) complete_sums<kVectors>(sums, bias, residual, out_stride, epilogue);
#pragma GCC unroll 32
  for (int i = 0; i < kFilters * kVectors; ++i) {
    store(out + i / kVectors * out_stride + i % kVectors * kLanes, sums[i]);
  }
}

// Whether a product is one, for kVectors vectors from `column` on.
template <int kVectors>
SPARSEPASS_INLINE bool is_plain(const GemmJob& job, int64_t column) {
  return job.window == 1 && column + kVectors * kLanes <= job.columns;
}

// The register tiles of kFilters filters, a divisor of kLanes, from `filter` on, and of kVectors
// vectors from `column` on; returns the first filter that is left.
template <int kFilters, int kVectors, bool kAccumulate, bool kComplete>
int64_t plain_tiles(const GemmJob& job, int64_t filter, int64_t column) {
  const float* const first = job.panel + *job.window_offset + column;
  const int64_t stride = job.panel_stride;
  const int64_t turns = job.panel_rows / kRowsPerTurn;
  const PanelRows rows = {first, stride, first + turns * kRowsPerTurn * stride,
                          first + job.panel_rows * stride};
  const int64_t out_stride = job.out_stride, filters = job.filters;
  const int64_t next_block = job.weight_stride - (kLanes - kFilters);
  const float* weight = job.weight + filter / kLanes * job.weight_stride + filter % kLanes;
  float* out = job.out + filter * out_stride + column;
  const float* residual = job.residual ? job.residual + filter * out_stride + column : nullptr;
  const int64_t first_filter = filter;
  for (; filter + kFilters <= filters; filter += kFilters, out += kFilters * out_stride) {
    const float* const bias = kComplete ? job.bias + filter : nullptr;
    plain_tile<kFilters, kVectors, kAccumulate, kComplete>(rows, weight, bias, residual,
                                                           job.epilogue, out, out_stride);
    if (residual) residual += kFilters * out_stride;
    weight += (filter + kFilters) % kLanes == 0 ? next_block : kFilters;
  }
  if (kComplete) {
    activate_sums(job, first_filter, filter - first_filter, column, kVectors * kLanes);
  }
  return filter;
}

// The same for what the job says of sums.
template <int kFilters, int kVectors>
int64_t plain_tiles(const GemmJob& job, int64_t filter, int64_t column) {
  if (job.bias == nullptr) {
    return job.accumulate ? plain_tiles<kFilters, kVectors, true, false>(job, filter, column)
                          : plain_tiles<kFilters, kVectors, false, false>(job, filter, column);
  }
  return job.accumulate ? plain_tiles<kFilters, kVectors, true, true>(job, filter, column)
                        : plain_tiles<kFilters, kVectors, false, true>(job, filter, column);
}

}  // namespace
}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_GEMM_PLAIN_H_
