// Between maps in NCHW and panels whose lanes are parts of the map.
#include "kernels/lanes_kernel.h"

#include "kernels/lists_kernel.h"
#include "simd/epilogue.h"
#include "simd/quads.h"
#include "simd/shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

namespace {

// Quads that cover `width` floats, at least 4: the last one ends with them, and may lie over the
// one before.
inline int64_t quad_start(int64_t quad, int64_t width) {
  return 4 * quad + 4 <= width ? 4 * quad : width - 4;
}

// Writes `width` neighbouring outputs: sums with a residual, or what is finished.  All is read
// before anything is written.
template <int kCount>
inline void store_quads(const Quad (&sums)[kCount], const float* residual, float* y, int64_t width,
                        const Epilogue& e) {
  Quad values[kCount];
  for (int q = 0; q < kCount; ++q) {
    values[q] = sums[q];
    if (residual) values[q] = activate(values[q] + load_quad(residual + quad_start(q, width)), e);
  }
  for (int q = 0; q < kCount; ++q) store_quad(y + quad_start(q, width), values[q]);
}

// The same one by one, from floats that lie `stride` apart.
__attribute__((noinline)) void store_singly(const float* sums, int64_t stride,
                                            const float* residual, float* y, int64_t width,
                                            const Epilogue& e) {
  for (int64_t c = 0; c < width; ++c) {
    y[c] = activate(sums[c * stride] + (residual ? residual[c] : 0.0f), e);
  }
}

// One row of vectors whose lanes are the columns of the map.
template <int kCount = kQuads>
inline void store_columns(const float* sums, const float* residual, float* y, int64_t width,
                          const Epilogue& e) {
  if constexpr (kCount > 1) {
    if (width <= 4 * (kCount - 1)) {
      return store_columns<kCount - 1>(sums, residual, y, width, e);
    }
  }
  if (width < 4) return store_singly(sums, 1, residual, y, width, e);
  Quad quads[kCount];
  for (int q = 0; q < kCount; ++q) {
    quads[q] = load_quad(sums + quad_start(q, width));
    if (!residual) quads[q] = activate(quads[q], e);
  }
  store_quads(quads, residual, y, width, e);
}

// Where the outputs of a lane lie in the map, and how many of a block are inside.
struct LanePlace {
  int64_t at, row, width;
};

// One row of all tiles, whose `width` vectors are at `sums`.
template <int kCount>
inline void store_tiles(const LaneStore& s, const LanePlace* places, const float* sums,
                        const float* residual, float* y, int64_t row) {
  const Activation activation(s.epilogue);
  Quad turned[kCount][4][kQuads];  // quad q of lane 4 * p + i is turned[q][i][p]
  for (int q = 0; q < kCount; ++q) {
    vf columns[4];
    for (int i = 0; i < 4; ++i) {
      columns[i] = load(sums + (quad_start(q, s.width) + i) * kLanes);
      if (!residual) columns[i] = activation(columns[i]);
    }
    transpose_squares(columns);
    __builtin_memcpy(turned[q], columns, sizeof(columns));
  }
#pragma GCC unroll 1
  for (int l = 0; l < kLanes; ++l) {
    const LanePlace& place = places[l];
    if (place.row + row >= s.out_h) continue;
    const float* from = residual ? residual + place.at : nullptr;
    if (place.width < s.width) {
      store_singly(sums + l, kLanes, from, y + place.at, place.width, s.epilogue);
      continue;
    }
    Quad quads[kCount];
    for (int q = 0; q < kCount; ++q) quads[q] = turned[q][l % 4][l / 4];
    store_quads(quads, from, y + place.at, s.width, s.epilogue);
  }
}

// The same for tiles that are at least a vector wide: the last vector of a lane ends with its tile,
// and may lie over the one before.
template <int kCount>
inline void store_wide_tiles(const LaneStore& s, const LanePlace* places, const float* sums,
                             const float* residual, float* y, int64_t row) {
  const Activation activation(s.epilogue);
  const int64_t starts[2] = {0, s.width - kLanes};
  vf turned[kCount][kLanes];
  for (int v = 0; v < kCount; ++v) {
    for (int i = 0; i < kLanes; ++i) {
      turned[v][i] = load(sums + (starts[v] + i) * kLanes);
    }
    if (!residual) activation.apply(turned[v]);
    transpose(turned[v]);
  }
  for (int l = 0; l < kLanes; ++l) {
    const LanePlace& place = places[l];
    if (place.row + row >= s.out_h) continue;
    float* to = y + place.at;
    const float* from = residual ? residual + place.at : nullptr;
    if (place.width < s.width) {
      store_singly(sums + l, kLanes, from, to, place.width, s.epilogue);
      continue;
    }
    vf values[kCount];
    for (int v = 0; v < kCount; ++v) {
      values[v] = turned[v][l];
      if (from) values[v] = activation(values[v] + load(from + starts[v]));
    }
    for (int v = 0; v < kCount; ++v) store(to + starts[v], values[v]);
  }
}

inline void store_narrow_tiles(const LaneStore& s, const LanePlace* places, const float* sums,
                               const float* residual, float* y, int64_t row) {
  for (int l = 0; l < kLanes; ++l) {
    const LanePlace& place = places[l];
    if (place.row + row >= s.out_h) continue;
    store_singly(sums + l, kLanes, residual ? residual + place.at : nullptr, y + place.at,
                 place.width, s.epilogue);
  }
}

inline bool lanes_are_columns(const LaneGrid& grid) {
  return grid.lane_columns == kLanes && grid.tile_w == 1;
}

void store_row(const LaneStore& s, const LanePlace* places, const float* sums,
               const float* residual, float* y, int64_t row) {
  if (lanes_are_columns(s.grid)) {
    if (row < s.out_h) store_columns(sums, residual, y, s.out_w, s.epilogue);
    return;
  }
  static_assert(kMostListVectors <= 16, "four quads");
  if (kLanes == 8 && s.width == kLanes)
    return store_wide_tiles<1>(s, places, sums, residual, y, row);
  if (kLanes == 8 && s.width > kLanes)
    return store_wide_tiles<2>(s, places, sums, residual, y, row);
  switch (s.width < 4 ? 0 : (s.width + 3) / 4) {
    case 0:
      return store_narrow_tiles(s, places, sums, residual, y, row);
    case 1:
      return store_tiles<1>(s, places, sums, residual, y, row);
    case 2:
      return store_tiles<2>(s, places, sums, residual, y, row);
    case 3:
      return store_tiles<3>(s, places, sums, residual, y, row);
    default:
      return store_tiles<4>(s, places, sums, residual, y, row);
  }
}

}  // namespace

void pack_lanes(const LanePack& p) {
  if (lanes_are_columns(p.grid)) {
    for (int64_t r = 0; r < p.rows; ++r) {
      for (int64_t c = 0; c < p.columns; ++c) {
        store(p.dst + (r * p.row_step + c * p.column_step) * kLanes, load(p.src + r * p.pitch + c));
      }
    }
    return;
  }
  const float* lanes[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) {
    lanes[l] = p.src + l / p.grid.lane_columns * p.grid.tile_h * p.pitch +
               l % p.grid.lane_columns * p.grid.tile_w;
  }
  for (int64_t r = 0; r < p.rows; ++r) {
    float* dst = p.dst + r * p.row_step * kLanes;
    for (int64_t c = 0; c < p.columns; c += 4) {
      vf places[4];
      for (int i = 0; i < 4; ++i) places[i] = load_quads(lanes + i, r * p.pitch + c);
      transpose_squares(places);
      for (int i = 0; i < 4; ++i) store(dst + (c + i) * p.column_step * kLanes, places[i]);
    }
  }
}

void pack_flat(const FlatPack& p) {
  const int64_t whole = p.count / kLanes;
  for (int64_t c = 0; c < p.channels; ++c) {
    const float* src = p.src + c * p.plane;
    float* dst = p.dst + c * p.width * kLanes;
    for (int64_t v = 0; v < whole; ++v) {
      // Channels lie too far apart for the processor to see what is read next.
      __builtin_prefetch(src + 4 * p.plane + v * kLanes);
      store(dst + v * kLanes, load(src + v * kLanes));
    }
    for (int64_t v = whole; v < p.width; ++v) {
      store(dst + v * kLanes, load_first(src + v * kLanes, v == whole ? p.count % kLanes : 0));
    }
  }
}

void store_lanes(const LaneStore& s) {
  LanePlace places[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) {
    const int64_t row = l / s.grid.lane_columns * s.grid.tile_h;
    const int64_t column = l % s.grid.lane_columns * s.grid.tile_w;
    const int64_t left = s.out_w - s.column - column;
    places[l] = {row * s.pitch + column, row, left < 0 ? 0 : left < s.width ? left : s.width};
  }
  for (int64_t f = 0; f < s.filters; ++f) {
    for (int64_t r = 0; r < s.height; ++r) {
      const int64_t at = f * s.y_stride + (s.row + r) * s.pitch + s.column;
      store_row(s, places, s.sums + (f * s.height + r) * s.width * kLanes,
                s.residual ? s.residual + at : nullptr, s.y + at, s.row + r);
    }
  }
}

void store_flat(const FlatStore& s) {
  const Activation activation(s.epilogue);
  for (int64_t f = 0; f < s.filters; ++f) {
    const float* sums = s.sums + f * s.sums_stride;
    const float* residual = s.residual ? s.residual + f * s.y_stride : nullptr;
    float* y = s.y + f * s.y_stride;
    for (int64_t i = 0; i < s.count; i += kLanes) {
      store_outputs(load(sums + i), residual, activation, y, i, s.count - i);
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
