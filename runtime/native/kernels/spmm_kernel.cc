// Row-wise sparse times dense product on packed input, driven by data (arXiv 1911.09723).
//
// One kept weight is broadcast and multiplied with neighbouring positions of one input channel;
// the accumulators of a row stay in registers until the row is done.
#include "spmm_kernel.h"

#include "lanes.h"
#include "simd.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

namespace {

constexpr int kPerUnit = kUnit / kLanes;

// Channels copied into panels at the same time: what they read stays in the first-level cache, and every
// panel gets some lines in a row.
constexpr int64_t kPanelChannels = 8;

inline vf finish(vf value, const Epilogue& e) {
  const vf zero = {};
  value = value >= zero ? value : value * splat(e.slope);
  return min(splat(e.high), max(splat(e.low), value));
}

void store_unit(const SpmmTile& tile, const Unit& unit, int64_t row, const vf* acc) {
  const int64_t at = row * tile.y_stride + unit.y;
  float* y = tile.y + at;
  const float* residual = tile.residual ? tile.residual + at : nullptr;
  if (unit.mask == 0xFFFFu) {
    for (int v = 0; v < kPerUnit; ++v) {
      vf value = acc[v];
      if (residual) value += load(residual + v * kLanes);
      store(y + v * kLanes, finish(value, tile.epilogue));
    }
    return;
  }
  // Kept lanes move together, then take the same way through a buffer of one unit.
  float lanes[kUnit], kept[kUnit] = {};
  for (int v = 0; v < kPerUnit; ++v) store(lanes + v * kLanes, acc[v]);
  int64_t count = 0;
  for (int i = 0; i < kUnit; ++i) {
    if (unit.mask >> i & 1) kept[count++] = lanes[i];
  }
  if (residual) {
    for (int64_t i = 0; i < count; ++i) kept[i] += residual[i];
  }
  for (int v = 0; v < kPerUnit; ++v) {
    store(kept + v * kLanes, finish(load(kept + v * kLanes), tile.epilogue));
  }
  for (int64_t i = 0; i < count; ++i) y[i] = kept[i];
}

template <int kUnits>
void tile_of(const SpmmTile& tile) {
  const float* x[kUnits];
  for (int u = 0; u < kUnits; ++u) x[u] = tile.x + tile.units[u].x;
  for (int64_t row = 0; row < tile.rows; ++row) {
    vf acc[kUnits][kPerUnit];
    for (int u = 0; u < kUnits; ++u) {
      for (int v = 0; v < kPerUnit; ++v) acc[u][v] = splat(tile.bias[row]);
    }
    for (int64_t e = tile.row_start[row]; e < tile.row_start[row + 1]; ++e) {
      const vf value = splat(tile.entries[e].value);
      const int64_t offset = tile.entries[e].offset;
      for (int u = 0; u < kUnits; ++u) {
        for (int v = 0; v < kPerUnit; ++v) {
          acc[u][v] = fma(value, load(x[u] + offset + v * kLanes), acc[u][v]);
        }
      }
    }
    for (int u = 0; u < kUnits; ++u) store_unit(tile, tile.units[u], row, acc[u]);
  }
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
      store(row + j * kLanes, parts[j].load(src + j * kLanes * kStride));
    }
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
  const int64_t last = copy.zeros + copy.elements;
  const float* src = copy.src - copy.zeros * kStride;
  for (int64_t r = 0; r < copy.inside; ++r, row += copy.pitch, src += copy.src_step) {
    for (int64_t j = 0; j < copy.pitch; j += kLanes) {
      const float* p = src + kStride * j;
      const bool whole = j >= copy.zeros && j + kLanes <= last;
      store(row + j, kStride == 1 && whole ? load(p) : Part<kStride>(copy.zeros - j, last - j).load(p));
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
  switch (tile.count) {
    case 1:
      return tile_of<1>(tile);
    case 2:
      return tile_of<2>(tile);
    case 3:
      return tile_of<3>(tile);
    default:
      return tile_of<4>(tile);
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
  for (int64_t begin = 0; begin < copy.channels; begin += kPanelChannels) {
    const int64_t left = copy.channels - begin;
    const int64_t end = begin + (left < kPanelChannels ? left : kPanelChannels);
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
