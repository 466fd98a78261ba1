// Run-time encoding of one chunk of channels for CPO and CPS: every non-zero is stored once.
#include "activation_kernel.h"
#include "kernels/compress.h"
#include "kernels/transpose.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// rows[p][c] = x[c][p] for one square; channels that do not exist are zero.
static inline void transpose_square(const float* x, int64_t channels, int64_t plane, float* rows,
                                    int64_t row_size) {
  vf square[kLanes];
  for (int c = 0; c < kLanes; ++c) square[c] = c < channels ? load(x + c * plane) : vf{};
  transpose(square);
  for (int p = 0; p < kLanes; ++p) store(rows + p * row_size, square[p]);
}

// Turns `pixels` pixels from first_pixel into rows of chunk_channels values.
static void gather_rows(const EncodeJob& job, int64_t first_pixel, int64_t pixels, float* rows) {
  for (int64_t c = 0; c < job.chunk_channels; c += kLanes) {
    const int64_t channels = job.channels - c;
    const float* x = job.x + c * job.pixels + first_pixel;
    int64_t p = 0;
    for (; p + kLanes <= pixels; p += kLanes) {
      transpose_square(x + p, channels, job.pixels, rows + p * job.chunk_channels + c,
                       job.chunk_channels);
    }
    for (; p < pixels; ++p) {
      for (int64_t i = 0; i < kLanes; ++i) {
        rows[p * job.chunk_channels + c + i] = i < channels ? x[i * job.pixels + p] : 0.0f;
      }
    }
  }
}

constexpr int64_t kPixelsAtOnce = 16;

template <bool kGrouped>
static void encode(const EncodeJob& job) {
  const EncodedChunk& out = job.out;
  alignas(64) float rows[kPixelsAtOnce * kMostChunkChannels];
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
        uint32_t group_mask = 0;
        for (int i = 0; i < kGroup; i += kLanes) {
          const vf v = load(row + i);
          const uint32_t mask = nonzero_mask(v);
          compress(v, mask, out.values + values);
          if (!kGrouped) compress_positions(position + i, mask, out.index + values);
          group_mask |= mask << i;
          values += __builtin_popcount(mask);
        }
        if (kGrouped) {
          out.groups[groups] = position / kGroup << 16 | group_mask;
          groups += group_mask != 0;
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
  for (; i + kLanes <= count; i += kLanes) {
    total += __builtin_popcount(nonzero_mask(load(x + i)));
  }
  for (; i < count; ++i) total += x[i] != 0;
  return total;
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
