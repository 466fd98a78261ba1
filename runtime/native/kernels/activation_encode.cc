// Run-time encoding of one chunk of channels for CPO and CPS: every non-zero is stored once.
#include "base/tuning.h"
#include "kernels/activation_kernel.h"
#include "simd/compress.h"
#include "simd/shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

constexpr int64_t kPixelsAtOnce = 16;

// rows[p][c] = x[c][p] for one square; what lies outside `channels` and `pixels` is zero.
static inline void transpose_square(const float* x, int64_t channels, int64_t pixels, int64_t plane,
                                    float* rows, int64_t row_size) {
  vf square[kLanes];
  for (int c = 0; c < kLanes; ++c) {
    const float* row = x + c * plane;
    square[c] = c >= channels ? vf{} : pixels >= kLanes ? load(row) : load_first(row, pixels);
  }
  transpose(square);
  for (int p = 0; p < kLanes; ++p) store(rows + p * row_size, square[p]);
}

// Turns `pixels` pixels from `first` on into rows of chunk_channels values.
static void gather_rows(const EncodeJob& job, int64_t first, int64_t pixels, float* rows) {
  for (int64_t c = 0; c < job.chunk_channels; c += kLanes) {
    const float* x = job.x + c * job.pixels + first;
    for (int64_t p = 0; p < pixels; p += kLanes) {
      transpose_square(x + p, job.channels - c, pixels - p, job.pixels,
                       rows + p * job.chunk_channels + c, job.chunk_channels);
    }
  }
}

template <bool kGrouped>
static void encode(const EncodeJob& job) {
  alignas(64) float rows[kPixelsAtOnce * kMostEncodedChannels];
  const EncodedChunk& out = job.out;
  uint32_t values = 0, groups = 0, position = 0;
  for (int64_t first = 0; first < job.pixels; first += kPixelsAtOnce) {
    const int64_t left = job.pixels - first;
    const int64_t pixels = left < kPixelsAtOnce ? left : kPixelsAtOnce;
    gather_rows(job, first, pixels, rows);
    const float* row = rows;
    for (int64_t p = first; p < first + pixels; ++p) {
      out.value_start[p] = values;
      if (kGrouped) out.group_start[p] = groups;
      for (int64_t c = 0; c < job.chunk_channels; c += kGroup) {
        uint32_t group = 0;
        for (uint32_t i = 0; i < kGroup; i += kLanes) {
          const vf v = load(row + i);
          const uint32_t mask = nonzero_mask(v);
          compress(v, mask, out.values + values);
          if (!kGrouped) compress_positions(position + i, mask, out.index + values);
          group |= mask << i;
          values += static_cast<uint32_t>(__builtin_popcount(mask));
        }
        if (kGrouped) {
          out.groups[groups] = position / kGroup << 16 | group;
          groups += group != 0;
        }
        row += kGroup;
        position += kGroup;
      }
    }
  }
  out.value_start[job.pixels] = values;
  if (kGrouped) out.group_start[job.pixels] = groups;
}

void cpo_encode(const EncodeJob& job) { encode<false>(job); }
void cps_encode(const EncodeJob& job) { encode<true>(job); }

int64_t activation_count(const float* x, int64_t count) {
  int64_t total = 0, i = 0;
  for (; i + kLanes <= count; i += kLanes) total += __builtin_popcount(nonzero_mask(load(x + i)));
  for (; i < count; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof(bits));
    total += bits << 1 != 0;
  }
  return total;
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
