// Signatures of the micro-kernels that the weight-sparse convolution uses.
#ifndef SPARSEPASS_SPMM_KERNEL_H_
#define SPARSEPASS_SPMM_KERNEL_H_

#include <cstdint>

#include "conv.h"

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

// A kept weight: its value, and the distance in floats from a unit's input to what it multiplies.
struct Entry {
  float value;
  int32_t offset;
};

// For `rows` output channels and `count` units (at most kMostUnits):
//   y[row][unit positions] = epilogue(bias[row] + sum of value * x[offset + unit.x] (+ residual))
// Row r owns entries [row_start[r], row_start[r + 1]) and writes at y + r * y_stride.
struct SpmmTile {
  const float* x;
  const Entry* entries;
  const int64_t* row_start;
  const float* bias;
  const float* residual;  // null: none; laid out as y
  float* y;
  int64_t rows, y_stride;
  const Unit* units;
  int64_t count;
  Epilogue epilogue;
};
constexpr int64_t kMostUnits = 4;
using SpmmTileKernel = void(const SpmmTile& tile);

// dst[j] = src[j * stride] for j in [0, count).
using CopyRowsKernel = void(const float* src, int64_t stride, int64_t count, float* dst);

// Packs one unit of every channel: dst[c * 16 + i] = src[c * plane + lane[i]] for i in [0, 16).
// Lanes that are neighbours (`contiguous`) are copied as one vector.
using CopyPanelsKernel = void(const float* src, int64_t plane, int64_t channels,
                              const int32_t* lane, bool contiguous, float* dst);

}  // namespace sparsepass

#endif  // SPARSEPASS_SPMM_KERNEL_H_
