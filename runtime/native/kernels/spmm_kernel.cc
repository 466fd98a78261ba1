// Row-wise sparse times dense product on packed input, driven by data (arXiv 1911.09723).
//
// One kept weight is broadcast and multiplied with neighbouring positions of one input channel;
// the accumulators of a row stay in registers until the row is done.
#include "spmm_kernel.h"

#include "simd.h"
#include "vector_shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

namespace {

constexpr int kPerUnit = kUnit / kLanes;

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

void copy_plane(const PlaneCopy& copy) {
  float* row = copy.dst;
  for (int64_t i = 0; i < copy.before * copy.pitch; ++i) row[i] = 0.0f;
  row += copy.before * copy.pitch;
  const float* src = copy.src;
  for (int64_t r = 0; r < copy.inside; ++r, row += copy.pitch, src += copy.src_step) {
    for (int64_t j = 0; j < copy.zeros; ++j) row[j] = 0.0f;
    float* dst = row + copy.zeros;
    int64_t j = 0;
    if (copy.stride == 1) {
      // What a whole vector writes too much, the rest of the row or the next one overwrites.
      for (; j < copy.elements && src + j + kLanes <= copy.end; j += kLanes) {
        store(dst + j, load(src + j));
      }
      for (; j < copy.elements; ++j) dst[j] = src[j];
    } else if (copy.stride == 2) {
      for (; j < copy.elements && src + 2 * (j + kLanes) <= copy.end; j += kLanes) {
        vf even = load(src + 2 * j), odd = load(src + 2 * j + kLanes);
        unzip(even, odd);
        store(dst + j, even);
      }
      for (; j < copy.elements; ++j) dst[j] = src[2 * j];
    } else {
      for (; j < copy.elements; ++j) dst[j] = src[copy.stride * j];
    }
    for (j = copy.zeros + copy.elements; j < copy.pitch; ++j) row[j] = 0.0f;
  }
  for (int64_t i = 0; i < copy.after * copy.pitch + kUnit; ++i) row[i] = 0.0f;
}

void copy_panels(const PanelCopy& copy) {
  for (int64_t c = 0; c < copy.channels; ++c) {
    const float* src = copy.src + c * copy.plane;
    float* dst = copy.dst + c * kUnit;
    const int32_t* lane = copy.lane;
    for (int64_t u = 0; u < copy.units; ++u, lane += kUnit, dst += copy.unit_stride) {
      if (copy.contiguous[u]) {
        for (int v = 0; v < kPerUnit; ++v) {
          store(dst + v * kLanes, load(src + lane[0] + v * kLanes));
        }
      } else {
        for (int i = 0; i < kUnit; ++i) dst[i] = src[lane[i]];
      }
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
