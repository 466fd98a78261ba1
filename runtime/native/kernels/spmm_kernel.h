// Signatures of the micro-kernels that the weight-sparse convolution uses.
#ifndef SPARSEPASS_KERNELS_SPMM_KERNEL_H_
#define SPARSEPASS_KERNELS_SPMM_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// Output positions are computed in units of 16 neighbouring positions of the packed input, on every
// instruction set.
constexpr int64_t kUnit = 16;

// One unit: lane i reads packed input `x + i`; the lanes set in `mask` go, in order and without
// gaps, to the output positions from `y` on.
struct Unit {
  int32_t x, y;
  uint32_t mask;
};

// Rows of a tile share the input vectors of the taps they keep: of a tap that keeps the rows whose
// bits `pattern` has set, 1 to kTilePatterns - 1, every vector is loaded once.
constexpr int kTileRows = 4;
constexpr int kTilePatterns = 1 << kTileRows;

// For `rows` output channels (at most kMostTiledRows) and `count` units (at most kMostUnits):
//   y[row][unit positions] = epilogue(bias[row] + sum of value * x[offset + unit.x] (+ residual))
// Weights follow each other slice by slice, in a slice tile by tile, in a tile pattern by pattern,
// in a pattern tap by tap: `counts` has the taps of each pattern, `distances` each tap's offset
// less that of its slice, `values` the weights of the tap's rows.
struct SpmmTile {
  const float* x;
  const int64_t* slices;  // offset of each
  int64_t slice_count;
  const uint8_t* counts;
  const uint16_t* distances;
  const float* values;
  const float* bias;
  const float* residual;  // null: none; laid out as y
  float* y;
  int64_t rows, y_stride;
  const Unit* units;
  int64_t count;
  Epilogue epilogue;
};
constexpr int64_t kMostUnits = 6;
constexpr int64_t kMostTiledRows = 32;
using SpmmTileKernel = void(const SpmmTile& tile);

// For every row: y[row] += sum of values[e] * x[index[e]] over e in [start[row], start[row + 1]).
struct SparseDots {
  const float* x;
  const float* values;
  const uint16_t* index;
  const int64_t* start;
  int64_t rows;
  float* y;
};
using SparseDotsKernel = void(const SparseDots& dots);

// Copies rows of a map into a padded plane: `before` rows of zeros, `inside` rows, `after` rows of
// zeros, each `pitch` floats; a copied row is `zeros` zeros, then every `stride`-th of `elements`
// floats from `src` on, then zeros.  Writes up to 16 floats behind the plane, and zeros them.
struct PlaneCopy {
  const float* src;  // first element of the first row inside
  int64_t src_step;  // floats from one row inside to the next
  int64_t before, inside, after;
  int64_t zeros, elements, pitch, stride;
  int64_t next;  // floats from src to what is copied after it, which may be fetched meanwhile
  float* dst;
};
using CopyPlaneKernel = void(const PlaneCopy& copy);

// Copies `units` units of every channel next to each other:
// dst[u * unit_stride + c * 16 + i] = src[c * plane + lane[u * 16 + i]].
// Where `neighbours[u]` is not 0, so many lanes of the unit are neighbours, and the rest do not
// matter.
struct PanelCopy {
  const float* src;
  int64_t plane, channels, units, unit_stride;
  const int32_t* lane;
  const uint8_t* neighbours;
  float* dst;
};
using CopyPanelsKernel = void(const PanelCopy& copy);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_SPMM_KERNEL_H_
