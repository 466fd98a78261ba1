// What becomes of the sums of a register tile: bias, residual and activation, on their way to NCHW.
// For gemm_kernel.cc alone.
#ifndef SPARSEPASS_KERNELS_GEMM_FINISH_H_
#define SPARSEPASS_KERNELS_GEMM_FINISH_H_

#include <cstdint>

#include "kernels/gemm_kernel.h"
#include "kernels/smooth_outputs.h"
#include "simd/epilogue.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// Completes `count` neighbouring sums of one filter and stores them, up to a smooth activation.
SPARSEPASS_INLINE void store_sums(const GemmJob& job, const Activation& activation, vf sum,
                                  int64_t filter, int64_t column, int64_t count) {
  int64_t at = filter * job.out_stride + column;
  if (job.accumulate) sum += load_up_to(job.out + at, count);
  if (job.bias == nullptr) return store_up_to(job.out + at, sum, count);
  sum += splat(job.bias[filter]);
  store_outputs(sum, job.residual, activation, job.out, at, count);
}

// The smooth activation of `filters` filters and up to `columns` columns that are complete.
inline void activate_sums(const GemmJob& job, int64_t filter, int64_t filters, int64_t column,
                          int64_t columns) {
  if (job.bias == nullptr) return;
  smooth_activation({job.epilogue.smooth, job.out + filter * job.out_stride + column, filters,
                     job.out_stride, smaller(columns, job.columns - column)});
}

// Completes the sums of whole vectors, `kVectors` for each filter, up to a smooth activation.
// `residual` is null or laid out as the outputs, whose filters are `stride` floats apart.
template <int kVectors, int kCount>
SPARSEPASS_INLINE void complete_sums(vf (&sums)[kCount], const float* bias, const float* residual,
                                     int64_t stride, const Epilogue& epilogue) {
#pragma GCC unroll 32
  for (int i = 0; i < kCount; ++i) sums[i] += splat(bias[i / kVectors]);
  if (residual != nullptr) {
#pragma GCC unroll 32
    for (int i = 0; i < kCount; ++i) {
      sums[i] += load(residual + i / kVectors * stride + i % kVectors * kLanes);
    }
  }
  Activation(epilogue).apply(sums);
}

// The job by value: stores of vectors might change another, which loops would read again.
void finish_columns(const GemmJob job, const vf* tile, int filters, int vectors, int64_t filter,
                    int64_t column) {
  const Activation activation(job.epilogue);
  for (int f = 0; f < filters; ++f) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v, ++tile) {
      int64_t from = column + v * kLanes;
      store_sums(job, activation, *tile, filter + f, from, job.columns - from);
    }
  }
  activate_sums(job, filter, filters, column, vectors * kLanes);
}

// Transposes `columns` columns of one block of filters, `step` vectors apart, and completes them.
void finish_filters(const GemmJob job, const vf* tile, int columns, int step, int64_t filter,
                    int64_t column) {
  const Activation activation(job.epilogue);
  int64_t filters = smaller(kLanes, job.filters - filter);
  for (int n = 0; n < columns; n += kLanes) {
    vf rows[kLanes];
    for (int i = 0; i < kLanes; ++i) rows[i] = n + i < columns ? tile[(n + i) * step] : vf{};
    transpose(rows);
    for (int64_t f = 0; f < filters; ++f) {
      store_sums(job, activation, rows[f], filter + f, column + n, columns - n);
    }
  }
  activate_sums(job, filter, filters, column, columns);
}

}  // namespace
}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_GEMM_FINISH_H_
