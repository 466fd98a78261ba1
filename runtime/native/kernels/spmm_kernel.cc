// Sparse times dense product on packed input, driven by data (Wilkinson et al., PLDI 2023).
//
// The input vectors of a tap are loaded once for all rows of a tile that keep it; the accumulators
// of the tile stay in registers over a slice of the taps.
#include "kernels/spmm_kernel.h"

#include "base/tuning.h"
#include "simd/epilogue.h"
#include "simd/lanes.h"
#include "simd/rows.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

namespace {

constexpr int kPerUnit = kUnit / kLanes;

void store_unit(const SpmmTile& tile, const Unit& unit, int64_t row, const float* sums) {
  float kept[kUnit] = {};
  int64_t count = kUnit;
  if (unit.mask != 0xFFFFu) {
    count = 0;
    for (int i = 0; i < kUnit; ++i) {
      if (unit.mask >> i & 1) kept[count++] = sums[i];
    }
    sums = kept;
  }
  const int64_t at = row * tile.y_stride + unit.y;
  const Activation activation(tile.epilogue);
  for (int64_t i = 0; i < count; i += kLanes) {
    store_outputs(load(sums + i), tile.residual, activation, tile.y, at + i, count - i);
  }
}

// Vectors that a tile covers: of units, or of a part of one where registers are few.
#if defined(__AVX512F__)
constexpr int kMostVectors = 6;
#elif defined(__aarch64__)
constexpr int kMostVectors = 4;
#else
constexpr int kMostVectors = 3;
#endif

// Where the weights of the next tap are.
struct Stream {
  const uint8_t* counts;
  const uint16_t* distances;
  const float* values;
};

// Adds the taps of patterns 1 to kPattern.  Loops are unrolled so that the sums stay in registers
// from one pattern to the next.
template <int kPattern, int kVectors>
SPARSEPASS_INLINE void add_taps(const float* const* x, Stream& stream,
                                vf (&sums)[kTileRows][kVectors]) {
  if constexpr (kPattern > 1) add_taps<kPattern - 1>(x, stream, sums);
  for (int n = *stream.counts++; n > 0; --n) {
    const int64_t distance = *stream.distances++;
    vf in[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) in[v] = load(x[v] + distance);
#pragma GCC unroll 4
    for (int r = 0; r < kTileRows; ++r) {
      if (!(kPattern >> r & 1)) continue;
      const vf value = splat(*stream.values++);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) sums[r][v] = fma(value, in[v], sums[r][v]);
    }
  }
}

// Adds what one tile keeps of a slice; its row r has its sums at partial + r * row_step.
template <int kVectors>
__attribute__((noinline)) Stream add_tile(const float* const* x, Stream stream, float* partial,
                                          int64_t row_step) {
  vf sums[kTileRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[r][v] = load(partial + r * row_step + v * kLanes);
  }
  add_taps<kTilePatterns - 1>(x, stream, sums);
#pragma GCC unroll 4
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(partial + r * row_step + v * kLanes, sums[r][v]);
  }
  return stream;
}

// The same for `vectors` vectors, at most kVectors.
template <int kVectors>
Stream add_tile_of(int64_t vectors, const float* const* x, Stream stream, float* partial,
                   int64_t row_step) {
  if constexpr (kVectors > 1) {
    if (vectors < kVectors) return add_tile_of<kVectors - 1>(vectors, x, stream, partial, row_step);
  }
  return add_tile<kVectors>(x, stream, partial, row_step);
}

// Lanes [first, last) of every kStride-th float; the other lanes are zero, and not read.
template <int kStride>
class Part {
 public:
  SPARSEPASS_INLINE Part() = default;
  SPARSEPASS_INLINE Part(int64_t first, int64_t last)
      // Of the last pair only the first float is certain to be there.
      : low_(WidestLanes::lanes(kStride * first, kStride * (last - 1) + 1)),
        high_(WidestLanes::lanes(kStride * first - kLanes, kStride * (last - 1) + 1 - kLanes)) {}
  SPARSEPASS_INLINE vf load(const float* p) const {
    const auto low = WidestLanes::load(p, low_);
    if (kStride == 1) return (vf)low;
    return (vf)WidestLanes::even(low, WidestLanes::load(p + kLanes, high_));
  }

 private:
  WidestLanes::Mask low_, high_;
};

// Rows of kVectors vectors.  What the last one writes too much, the next row overwrites.
template <int kStride, int kVectors>
void copy_rows_of(const PlaneCopy& copy, float* row) {
  Part<kStride> parts[kVectors];
  for (int j = 0; j < kVectors; ++j) {
    const int64_t skipped = copy.zeros - j * kLanes;
    parts[j] = Part<kStride>(skipped, skipped + copy.elements);
  }
  const float* src = copy.src - copy.zeros * kStride;
  for (int64_t r = 0; r < copy.inside; ++r, row += copy.pitch, src += copy.src_step) {
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; ++j) {
      if (kStride > 1) __builtin_prefetch(src + j * kLanes * kStride + copy.next);
      store(row + j * kLanes, parts[j].load(src + j * kLanes * kStride));
    }
  }
}

// Rows that have a vector of elements.
template <int kStride>
void copy_wide_rows(const PlaneCopy& copy, float* row) {
  const int64_t end = copy.zeros + copy.elements, pitch = copy.pitch;
  const float* src = copy.src;
  for (int64_t r = 0; r < copy.inside; ++r, row += pitch, src += copy.src_step) {
    if (kStride > 1) {
      for (int64_t j = 0; j < 2 * copy.elements; j += 16) __builtin_prefetch(src + j + copy.next);
    }
    for (int64_t j = 0; j < copy.zeros; ++j) row[j] = 0;
    copy_row<kStride>(src, copy.elements, row + copy.zeros);
    for (int64_t j = end; j < pitch; ++j) row[j] = 0;
  }
}

template <int kStride>
void copy_rows(const PlaneCopy& copy, float* row) {
  switch ((copy.pitch + kLanes - 1) / kLanes) {
    case 1:
      return copy_rows_of<kStride, 1>(copy, row);
    case 2:
      return copy_rows_of<kStride, 2>(copy, row);
    case 3:
      return copy_rows_of<kStride, 3>(copy, row);
    case 4:
      return copy_rows_of<kStride, 4>(copy, row);
  }
  if (copy.elements >= kLanes) return copy_wide_rows<kStride>(copy, row);
  const int64_t last = copy.zeros + copy.elements;
  const float* src = copy.src - copy.zeros * kStride;
  for (int64_t r = 0; r < copy.inside; ++r, row += copy.pitch, src += copy.src_step) {
    for (int64_t j = 0; j < copy.pitch; j += kLanes) {
      const float* p = src + kStride * j;
      const bool whole = j >= copy.zeros && j + kLanes <= last;
      store(row + j,
            kStride == 1 && whole ? load(p) : Part<kStride>(copy.zeros - j, last - j).load(p));
    }
  }
}

void copy_strided_rows(const PlaneCopy& copy, float* row) {
  const float* src = copy.src;
  for (int64_t r = 0; r < copy.inside; ++r, row += copy.pitch, src += copy.src_step) {
    for (int64_t j = 0; j < copy.pitch; j += kLanes) store(row + j, vf{});
    for (int64_t j = 0; j < copy.elements; ++j) row[copy.zeros + j] = src[copy.stride * j];
  }
}

}  // namespace

void spmm_tile(const SpmmTile& tile) {
  alignas(64) float partial[kMostTiledRows * kMostUnits * kUnit];
  const int64_t row_step = tile.count * kUnit, vectors = tile.count * kPerUnit;
  const int64_t parts = (vectors + kMostVectors - 1) / kMostVectors;
  // The last tile may have fewer rows, but computes all of them.
  for (int64_t row = 0; row < kMostTiledRows; ++row) {
    const vf bias = splat(row < tile.rows ? tile.bias[row] : 0.0f);
    for (int64_t v = 0; v < vectors; ++v) store(partial + row * row_step + v * kLanes, bias);
  }
  Stream stream = {tile.counts, tile.distances, tile.values};
  for (int64_t s = 0; s < tile.slice_count; ++s) {
    const float* x[kMostUnits * kPerUnit];
    for (int64_t v = 0; v < vectors; ++v) {
      x[v] = tile.x + tile.units[v / kPerUnit].x + v % kPerUnit * kLanes + tile.slices[s];
    }
    for (int64_t row = 0; row < tile.rows; row += kTileRows) {
      const Stream begin = stream;
      for (int64_t p = 0; p < parts; ++p) {
        const int64_t v = p * vectors / parts;
        stream = add_tile_of<kMostVectors>((p + 1) * vectors / parts - v, x + v, begin,
                                           partial + row * row_step + v * kLanes, row_step);
      }
    }
  }
  for (int64_t u = 0; u < tile.count; ++u) {
    for (int64_t row = 0; row < tile.rows; ++row) {
      store_unit(tile, tile.units[u], row, partial + row * row_step + u * kUnit);
    }
  }
}

void sparse_dots(const SparseDots& dots) {
  for (int64_t row = 0; row < dots.rows; ++row) {
    int64_t e = dots.start[row];
    const int64_t end = dots.start[row + 1];
    vf sums[2] = {};
    for (; e + 2 * kLanes <= end; e += 2 * kLanes) {
      for (int i = 0; i < 2; ++i) {
        const int64_t at = e + i * kLanes;
        sums[i] = fma(load(dots.values + at), gather(dots.x, dots.index + at), sums[i]);
      }
    }
    float sum = 0.0f;
    for (; e < end; ++e) sum += dots.values[e] * dots.x[dots.index[e]];
    const vf both = sums[0] + sums[1];
    for (int i = 0; i < kLanes; ++i) sum += both[i];
    dots.y[row] += sum;
  }
}

void copy_plane(const PlaneCopy& copy) {
  float* row = copy.dst;
  for (int64_t i = 0; i < copy.before * copy.pitch; i += kLanes) store(row + i, vf{});
  row += copy.before * copy.pitch;
  if (copy.inside > 0) {
    switch (copy.stride) {
      case 1:
        copy_rows<1>(copy, row);
        break;
      case 2:
        copy_rows<2>(copy, row);
        break;
      default:
        copy_strided_rows(copy, row);
    }
  }
  row += copy.inside * copy.pitch;
  // Behind the plane another thread may write.
  const int64_t rest = copy.after * copy.pitch + kUnit - kLanes;
  for (int64_t i = 0; i < rest; i += kLanes) store(row + i, vf{});
  store(row + rest, vf{});
}

void copy_panels(const PanelCopy& copy) {
  for (int64_t begin = 0; begin < copy.channels; begin += tuning.panel_channels) {
    const int64_t left = copy.channels - begin;
    const int64_t end = begin + (left < tuning.panel_channels ? left : tuning.panel_channels);
    const int32_t* lane = copy.lane;
    float* unit = copy.dst;
    for (int64_t u = 0; u < copy.units; ++u, lane += kUnit, unit += copy.unit_stride) {
      const int64_t neighbours = copy.neighbours[u];
      for (int64_t c = begin; c < end; ++c) {
        const float* src = copy.src + c * copy.plane;
        float* dst = unit + c * kUnit;
        if (neighbours == 0) {
          for (int i = 0; i < kUnit; ++i) dst[i] = src[lane[i]];
          continue;
        }
        for (int v = 0; v < kUnit; v += kLanes) {
          const float* p = src + lane[0] + v;
          store(dst + v, neighbours >= v + kLanes ? load(p) : Part<1>(0, neighbours - v).load(p));
        }
      }
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
