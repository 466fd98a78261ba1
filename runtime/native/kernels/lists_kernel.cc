// Sparse times dense product driven by lists: one output channel at a time, its sums in registers,
// every multiply-add with an aligned operand in memory.
//
// Limit: with V vectors of sums a weight takes V multiply-adds and V + 1 loads, so that two loads
// a cycle allow V / (V + 1) of the peak; entering and leaving a row takes about 10 cycles.
#include "kernels/lists_kernel.h"

#include "simd/epilogue.h"
#include "simd/quads.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

namespace {

// Vectors of the panel and of sums begin at multiples of their size.
SPARSEPASS_INLINE vf load_aligned(const float* p) { return *reinterpret_cast<const vf*>(p); }

// A recursion and not a loop, so that the loop over the weights around it is not unrolled as well.
template <int kWidth, int kVectors, int kAt = 0>
SPARSEPASS_INLINE void add(vf (&sums)[kVectors], vf value, const float* p, int64_t pitch) {
  if constexpr (kAt < kVectors) {
    const float* at = p + kAt / kWidth * pitch + kAt % kWidth * kLanes;
    sums[kAt] = fma(value, load_aligned(at), sums[kAt]);
    add<kWidth, kVectors, kAt + 1>(sums, value, p, pitch);
  }
}

// Outputs of a row lie a plane behind those of the row before: out of reach of the processor's own
// prefetching.
template <int kVectors>
SPARSEPASS_INLINE void fetch_outputs(const float* p) {
  for (int i = 0; i < kVectors * kLanes; i += 16) __builtin_prefetch(p + i, 1);
  __builtin_prefetch(p + kVectors * kLanes - 1, 1);
}

template <int kHeight, int kWidth>
void run_lists(const ListJob& job) {
  constexpr int kVectors = kHeight * kWidth;
  const float* const panel = job.panel;
  const int64_t pitch = job.pitch * kLanes;
  const uint16_t *row = job.row, *distance = job.distance;
  const float* value = job.value;
  for (const ListRun *run = job.runs, *end = run + job.run_count; run != end; ++run) {
    for (int64_t r = 0; r < run->rows; ++r) {
      const int64_t at = *row++;
      float* const kept = job.sums + at * kVectors * kLanes;
      if (run->last && job.y) {
        fetch_outputs<kVectors>(job.y + *row * job.y_stride);
        if (job.residual) fetch_outputs<kVectors>(job.residual + *row * job.y_stride);
      }
      vf sums[kVectors];
      if (run->first) {
        const vf bias = splat(job.bias[at]);
#pragma GCC unroll 14
        for (int v = 0; v < kVectors; ++v) sums[v] = bias;
      } else {
#pragma GCC unroll 14
        for (int v = 0; v < kVectors; ++v) sums[v] = load_aligned(kept + v * kLanes);
      }
      const float* const last = value + run->weights;
      // One load for four weights: loads are what the loop waits for.
      for (; last - value >= 4; value += 4, distance += 4) {
        const vf values = repeat_quad(value);
        add<kWidth>(sums, spread<0>(values), panel + kListUnit * distance[0], pitch);
        add<kWidth>(sums, spread<1>(values), panel + kListUnit * distance[1], pitch);
        add<kWidth>(sums, spread<2>(values), panel + kListUnit * distance[2], pitch);
        add<kWidth>(sums, spread<3>(values), panel + kListUnit * distance[3], pitch);
      }
      for (; value != last; ++value, ++distance) {
        add<kWidth>(sums, splat(*value), panel + kListUnit * *distance, pitch);
      }
      if (run->last && job.y) {
        float* const y = job.y + at * job.y_stride;
        // Read anew for every row: the loop over the weights needs all registers.
        const Activation activation(job.epilogue);
        if (job.residual) {
          const float* residual = job.residual + at * job.y_stride;
#pragma GCC unroll 14
          for (int v = 0; v < kVectors; ++v) sums[v] += load(residual + v * kLanes);
        }
#pragma GCC unroll 14
        for (int v = 0; v < kVectors; ++v) store(y + v * kLanes, activation(sums[v]));
      } else {
#pragma GCC unroll 14
        for (int v = 0; v < kVectors; ++v) store(kept + v * kLanes, sums[v]);
      }
    }
  }
}

// Finds the kernel of a width, then of a height.
template <int kHeight, int kWidth = kMostListVectors / kHeight>
void run_width(const ListJob& job) {
  if constexpr (kWidth > 1) {
    if (job.width < kWidth) return run_width<kHeight, kWidth - 1>(job);
  }
  run_lists<kHeight, kWidth>(job);
}

template <int kHeight = kMostListVectors>
void run_height(const ListJob& job) {
  if constexpr (kHeight > 1) {
    if (job.height < kHeight) return run_height<kHeight - 1>(job);
  }
  run_width<kHeight>(job);
}

}  // namespace

void spmm_lists(const ListJob& job) { run_height(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
