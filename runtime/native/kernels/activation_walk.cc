// The convolution over an encoded input, vectorised over filters.
#include "activation_kernel.h"
#include "simd.h"
#include <cstdlib>

namespace sparsepass {
namespace SPARSEPASS_ISA {

// Accumulators that leave registers for the broadcast value and one weight.
#if SPARSEPASS_LANES == 16
constexpr int kMostVectors = 16;
#else
constexpr int kMostVectors = 12;
#endif

// As few blocks as kMostVectors allows, evenly filled.
int64_t activation_block(int64_t filters) {
  const int64_t vectors = (filters + kLanes - 1) / kLanes;
  static int mv = getenv("MV") ? atoi(getenv("MV")) : kMostVectors;
  const int64_t blocks = (vectors + mv - 1) / mv;
  return (vectors + blocks - 1) / blocks * kLanes;
}

template <int V>
static inline void accumulate(vf* sums, float value, const float* weight) {
  const vf v = splat(value);
  for (int i = 0; i < V; ++i) sums[i] = fma(v, load(weight + i * kLanes), sums[i]);
}

// Adds the values of pixels [first, last); `origin` is the pixel under the first weight.
template <int V>
static inline void walk_positions(const EncodedChunk& chunk, int64_t chunk_channels, int64_t origin,
                                  int64_t first, int64_t last, const float* weight, vf* sums) {
  const uint32_t base = static_cast<uint32_t>(origin * chunk_channels);
  const uint32_t end = chunk.value_start[last];
  for (uint32_t n = chunk.value_start[first]; n < end; ++n) {
    const uint64_t row = static_cast<uint16_t>(chunk.index[n] - base);
    accumulate<V>(sums, chunk.values[n], weight + row * (V * kLanes));
  }
}

template <int V>
static inline void walk_groups(const EncodedChunk& chunk, int64_t chunk_channels, int64_t origin,
                               int64_t first, int64_t last, const float* weight, vf* sums) {
  const uint32_t base = static_cast<uint32_t>(origin * chunk_channels / kGroup);
  const uint32_t end = chunk.group_start[last];
  const float* value = chunk.values + chunk.value_start[first];
  for (uint32_t g = chunk.group_start[first]; g < end; ++g) {
    const uint64_t row = static_cast<uint16_t>((chunk.groups[g] >> 16) - base) * kGroup;
    for (uint32_t mask = chunk.groups[g] & 0xffff; mask != 0; mask &= mask - 1) {
      const uint64_t position = row + static_cast<uint64_t>(__builtin_ctz(mask));
      accumulate<V>(sums, *value++, weight + position * (V * kLanes));
    }
  }
}

// All runs of adjacent input pixels under one output pixel.
template <int V, bool kGrouped>
static inline void walk_pixel(const WalkJob& job, int64_t c, int64_t y, int64_t x, vf* sums) {
  const ConvParams& s = *job.params;
  const EncodedChunk& chunk = job.chunk[c];
  const int64_t chunk_channels = job.chunk_channels;
  const int64_t runs = s.dilation_w == 1 ? 1 : s.kernel_w, width = s.kernel_w / runs;
  const int64_t run_size = width * chunk_channels * (V * kLanes);
  for (int64_t r = 0; r < s.kernel_h; ++r) {
    const int64_t i = y * s.stride_h - s.pad_top + r * s.dilation_h;
    if (i < 0 || i >= job.in_h) continue;
    for (int64_t run = 0; run < runs; ++run) {
      const int64_t left = x * s.stride_w - s.pad_left + run * s.dilation_w;
      const int64_t first = left < 0 ? 0 : left;
      const int64_t last = left + width > job.in_w ? job.in_w : left + width;
      if (first >= last) continue;
      const float* w = job.weight[c] + (r * runs + run) * run_size;
      const int64_t row = i * job.in_w;
      if (kGrouped) {
        walk_groups<V>(chunk, chunk_channels, row + left, row + first, row + last, w, sums);
      } else {
        walk_positions<V>(chunk, chunk_channels, row + left, row + first, row + last, w, sums);
      }
    }
  }
}

template <int V, bool kGrouped>
static void walk_block(const WalkJob& job) {
  int64_t y = job.first_pixel / job.out_w, x = job.first_pixel % job.out_w;
  float* out = job.sums;
  for (int64_t p = 0; p < job.pixels; ++p, out += V * kLanes) {
    const float* in = job.start ? job.start : out;
    vf sums[V];
    for (int i = 0; i < V; ++i) sums[i] = load(in + i * kLanes);
    for (int64_t c = 0; c < job.chunks; ++c) {
      walk_pixel<V, kGrouped>(job, c, y, x, sums);
    }
    for (int i = 0; i < V; ++i) store(out + i * kLanes, sums[i]);
    if (++x == job.out_w) {
      x = 0;
      ++y;
    }
  }
}

template <bool kGrouped>
static void walk(const WalkJob& job) {
  switch (job.block / kLanes) {
#define SP_BLOCK(n) \
  case n:           \
    return walk_block<n, kGrouped>(job);
    SP_BLOCK(1) SP_BLOCK(2) SP_BLOCK(3) SP_BLOCK(4) SP_BLOCK(5) SP_BLOCK(6)
    SP_BLOCK(7) SP_BLOCK(8) SP_BLOCK(9) SP_BLOCK(10) SP_BLOCK(11) SP_BLOCK(12)
#if SPARSEPASS_LANES == 16
    SP_BLOCK(13) SP_BLOCK(14) SP_BLOCK(15) SP_BLOCK(16)
#endif
#undef SP_BLOCK
  }
}

void cpo_walk(const WalkJob& job) { walk<false>(job); }
void cps_walk(const WalkJob& job) { walk<true>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
