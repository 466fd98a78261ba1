// Products whose sums are stored as they are, without bias or activation: those of Winograd
// convolution, and all but the last part of deep ones.  For gemm_kernel.cc alone.
//
// These are short, so that what surrounds the multiply-adds counts: all filters of a strip in one
// loop, and four rows a turn.
#ifndef SPARSEPASS_KERNELS_GEMM_PLAIN_H_
#define SPARSEPASS_KERNELS_GEMM_PLAIN_H_

#include <cstdint>

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

// One register tile of the filters at `weight`, whose sums go to `out`.
template <int kFilters, int kVectors, bool kAccumulate>
SPARSEPASS_INLINE void plain_tile(const PanelRows& rows, const float* weight, float* out,
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
#pragma GCC unroll 32
  for (int i = 0; i < kFilters * kVectors; ++i) {
    store(out + i / kVectors * out_stride + i % kVectors * kLanes, sums[i]);
  }
}

// Whether the sums of kVectors vectors from `column` on are stored as they are.
template <int kVectors>
SPARSEPASS_INLINE bool is_plain(const GemmJob& job, int64_t column) {
  return job.window == 1 && job.bias == nullptr && column + kVectors * kLanes <= job.columns;
}

// The register tiles of kFilters filters, a divisor of kLanes, from `filter` on, and of kVectors
// vectors from `column` on; returns the first filter that is left.
template <int kFilters, int kVectors, bool kAccumulate>
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
  for (; filter + kFilters <= filters; filter += kFilters, out += kFilters * out_stride) {
    plain_tile<kFilters, kVectors, kAccumulate>(rows, weight, out, out_stride);
    weight += (filter + kFilters) % kLanes == 0 ? next_block : kFilters;
  }
  return filter;
}

}  // namespace
}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_GEMM_PLAIN_H_
