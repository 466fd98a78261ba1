// The 3x3 convolution of stride 1 over an encoded input, one input pixel after the other.
//
// A non-zero is multiplied with its nine weights at once, which lie next to each other.  The sums of
// the nine output pixels around it stay in registers: one step along a row stores one column of
// three and loads another.
#include "activation_kernel.h"
#include "simd.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

#ifndef SWV
#define SWV 1
#endif
constexpr int kVectors = SWV;
constexpr int kBlock = kVectors * kLanes;

int64_t activation_sweep_block(int64_t) { return kBlock; }

// The values of one pixel after the other, and the weights they meet.
struct Reader {
  const uint32_t* start;
  const uint16_t* index;
  const float* values;
  const float* weight;
  uint32_t base, chunk_channels;
};

// Adds the values of the next pixel to the sums of kRows kernel rows and kColumns kernel columns.
template <int kRows, int kColumns>
static inline void visit(Reader* reader, int64_t first_column, vf (*sums)[kColumns][kVectors]) {
  const uint16_t* index = reader->index + *reader->start++;
  const float* value = reader->values + (index - reader->index);
  const uint16_t* end = reader->index + *reader->start;
  for (; index != end; ++index, ++value) {
    const uint64_t c = static_cast<uint16_t>(*index - reader->base);
    const float* weight = reader->weight + c * (9 * kBlock) + first_column * kBlock;
    const vf x = splat(*value);
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kColumns; ++s) {
        for (int v = 0; v < kVectors; ++v) {
          sums[r][s][v] = fma(x, load(weight + (r * 3 + s) * kBlock + v * kLanes), sums[r][s][v]);
        }
      }
    }
  }
  reader->base += reader->chunk_channels;
}

// A pixel that some kernel columns see outside the output; `out` is below its first kernel column.
template <int kRows, int kColumns>
static inline void visit_edge(Reader* reader, int64_t first_column, float* out, int64_t pitch) {
  vf sums[kRows][kColumns][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) {
      for (int v = 0; v < kVectors; ++v) {
        sums[r][s][v] = load(out - r * pitch - s * kBlock + v * kLanes);
      }
    }
  }
  visit<kRows, kColumns>(reader, first_column, sums);
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) {
      for (int v = 0; v < kVectors; ++v) {
        store(out - r * pitch - s * kBlock + v * kLanes, sums[r][s][v]);
      }
    }
  }
}

// `count` pixels whose kernel columns all have an output; `out` is below the first kernel column.
template <int kRows>
static inline void visit_inner(Reader* reader, int64_t count, float* out, int64_t pitch) {
  vf sums[kRows][3][kVectors];
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sums[r][2][v] = load(out - r * pitch - 2 * kBlock + v * kLanes);
      sums[r][1][v] = load(out - r * pitch - 1 * kBlock + v * kLanes);
    }
  }
  for (const float* end = out + count * kBlock; out != end; out += kBlock) {
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) sums[r][0][v] = load(out - r * pitch + v * kLanes);
    }
    visit<kRows, 3>(reader, 0, sums);
    for (int r = 0; r < kRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        store(out - r * pitch - 2 * kBlock + v * kLanes, sums[r][2][v]);
        sums[r][2][v] = sums[r][1][v];
        sums[r][1][v] = sums[r][0][v];
      }
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      store(out - r * pitch - 2 * kBlock + v * kLanes, sums[r][2][v]);
      store(out - r * pitch - 1 * kBlock + v * kLanes, sums[r][1][v]);
    }
  }
}

// One input row for kRows kernel rows.  Column x of `out` is below kernel column 0 of pixel x - pad_left.
template <int kRows>
static void sweep_row(const WalkJob& job, Reader reader, float* out) {
  const int64_t pitch = job.out_w * kBlock, left = job.params->pad_left;
  for (int64_t j = 0; j < job.in_w;) {
    const int64_t x = j + left;
    const int64_t first = x < job.out_w ? 0 : x - job.out_w + 1;
    const int64_t columns = (x < 2 ? x + 1 : 3) - first;
    float* at = out + (x - first) * kBlock;
    if (columns == 3) {
      const int64_t pixels = job.out_w - x < job.in_w - j ? job.out_w - x : job.in_w - j;
      visit_inner<kRows>(&reader, pixels, at, pitch);
      j += pixels;
      continue;
    }
    if (columns == 2) {
      visit_edge<kRows, 2>(&reader, first, at, pitch);
    } else if (columns == 1) {
      visit_edge<kRows, 1>(&reader, first, at, pitch);
    } else {
      ++reader.start;
      reader.base += reader.chunk_channels;
    }
    ++j;
  }
}

// job.first_pixel and job.pixels are whole rows.
void cpo_sweep(const WalkJob& job) {
  const int64_t first = job.first_pixel / job.out_w, rows = job.pixels / job.out_w;
  if (job.start) {
    for (int64_t p = 0; p < job.pixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        store(job.sums + p * kBlock + v * kLanes, load(job.start + v * kLanes));
      }
    }
  }
  const int64_t top = job.params->pad_top;
  for (int64_t c = 0; c < job.chunks; ++c) {
    const int64_t tile = 9 * job.chunk_channels * kBlock;
    const char* next = reinterpret_cast<const char*>(c + 1 < job.chunks ? job.weight[c + 1] : job.weight[c]);
    const int64_t share = PF * (((tile * 4 / job.in_h) + 63) / 64 * 64);
    for (int64_t i = 0; i < job.in_h; ++i) {
      for (int64_t k = 0; k < share; k += 64) __builtin_prefetch(next + i * share + k, 0, 2);
      // Output row y takes kernel row r = i + top - y.
      const int64_t y0 = i + top - 2 < first ? first : i + top - 2;
      const int64_t y1 = i + top >= first + rows ? first + rows - 1 : i + top;
      if (y0 > y1) continue;
      const int64_t r = i + top - y1;
      const EncodedChunk& chunk = job.chunk[c];
      const Reader reader = {chunk.value_start + i * job.in_w, chunk.index, chunk.values, job.weight[c] + r * 3 * kBlock, static_cast<uint32_t>(i * job.in_w * job.chunk_channels), static_cast<uint32_t>(job.chunk_channels)};
      float* out = job.sums + (y1 - first) * job.out_w * kBlock;
      switch (y1 - y0) {
        case 0:
          sweep_row<1>(job, reader, out);
          break;
        case 1:
          sweep_row<2>(job, reader, out);
          break;
        default:
          sweep_row<3>(job, reader, out);
      }
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
