// Sparse times dense product driven by lists: one output channel at a time, its sums in registers,
// every multiply-add with an operand in memory.
//
// Limit: with V vectors of sums a weight takes V multiply-adds and V + 1 loads, so that two loads
// a cycle allow V / (V + 1) of the peak; entering and leaving a row takes about 10 cycles.
#include "kernels/lists_kernel.h"

#include "simd/epilogue.h"
#include "simd/quads.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

namespace {

// Vectors of sums, and those of the panel that are aligned, begin at multiples of their size.
SPARSEPASS_INLINE vf load_aligned(const float* p) { return *reinterpret_cast<const vf*>(p); }

template <int64_t kUnit>
SPARSEPASS_INLINE vf load_operand(const float* p) {
  return kUnit == kListUnit ? load_aligned(p) : load(p);
}

// A recursion and not a loop, so that the loop over the weights around it is not unrolled as well.
template <int kWidth, int64_t kUnit, int kVectors, int kAt = 0>
SPARSEPASS_INLINE void add(vf (&sums)[kVectors], vf value, const float* p, int64_t pitch) {
  if constexpr (kAt < kVectors) {
    const float* at = p + kAt / kWidth * pitch + kAt % kWidth * kLanes;
    sums[kAt] = fma(value, load_operand<kUnit>(at), sums[kAt]);
    add<kWidth, kUnit, kVectors, kAt + 1>(sums, value, p, pitch);
  }
}

// Outputs of a row lie a plane behind those of the row before: out of reach of the processor's own
// prefetching.
template <int kHeight, int kWidth>
SPARSEPASS_INLINE void fetch_outputs(const float* p, const ListJob& job) {
  const int64_t step = job.y_step;
  for (int r = 0; r < kHeight; ++r, p += job.y_pitch) {
    if (step == kLanes) {
      for (int i = 0; i < kWidth * kLanes; i += 16) __builtin_prefetch(p + i, 1);
    } else {
      for (int v = 0; v < kWidth; ++v) __builtin_prefetch(p + v * step, 1);
    }
    __builtin_prefetch(p + (kWidth - 1) * step + kLanes - 1, 1);
  }
}

// The same job, of which the compiler keeps nothing: the loop over the weights needs all registers.
SPARSEPASS_INLINE const ListJob& read_anew(const ListJob& job) {
  const ListJob* p = &job;
  asm("" : "+r"(p));
  return *p;
}

// Writes the complete sums of list row `at`.
template <int kHeight, int kWidth>
SPARSEPASS_INLINE void store_sums(vf (&sums)[kHeight * kWidth], const ListJob& job, int64_t at) {
  const Activation activation(job.epilogue);
  int64_t place = at * job.y_stride;
#pragma GCC unroll 14
  for (int r = 0; r < kHeight; ++r, place += job.y_pitch - kWidth * job.y_step) {
#pragma GCC unroll 14
    for (int v = 0; v < kWidth; ++v, place += job.y_step) {
      vf sum = sums[r * kWidth + v];
      if (job.residual) sum += load(job.residual + place);
      store(job.y + place, activation(sum));
    }
  }
}

template <int kHeight, int kWidth, int64_t kUnit>
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
        const ListJob& same = read_anew(job);
        const int64_t next = *row * same.y_stride;
        fetch_outputs<kHeight, kWidth>(same.y + next, same);
        if (same.residual) fetch_outputs<kHeight, kWidth>(same.residual + next, same);
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
        add<kWidth, kUnit>(sums, spread<0>(values), panel + kUnit * distance[0], pitch);
        add<kWidth, kUnit>(sums, spread<1>(values), panel + kUnit * distance[1], pitch);
        add<kWidth, kUnit>(sums, spread<2>(values), panel + kUnit * distance[2], pitch);
        add<kWidth, kUnit>(sums, spread<3>(values), panel + kUnit * distance[3], pitch);
      }
      for (; value != last; ++value, ++distance) {
        add<kWidth, kUnit>(sums, splat(*value), panel + kUnit * *distance, pitch);
      }
      if (run->last && job.y) {
        store_sums<kHeight, kWidth>(sums, read_anew(job), at);
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
  if (job.unit == kListUnit) return run_lists<kHeight, kWidth, kListUnit>(job);
  run_lists<kHeight, kWidth, 1>(job);
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
