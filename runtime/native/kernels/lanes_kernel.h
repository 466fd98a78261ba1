// Signatures of the micro-kernels between maps in NCHW and vectors whose lanes are parts of a map.
#ifndef SPARSEPASS_KERNELS_LANES_KERNEL_H_
#define SPARSEPASS_KERNELS_LANES_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// How the outputs of a part of the map lie in vectors: lane l has the tile_h x tile_w outputs that
// begin at row l / lane_columns * tile_h and column l % lane_columns * tile_w.
struct LaneGrid {
  int64_t lane_columns, tile_h, tile_w;
};

// Packs the padded plane at src, `pitch` floats a row, into vectors that each lane reads at the
// same place of its tile and around it: dst[(r * row_step + c * column_step) * lanes + l] = place
// (r, c) of lane l. Reads up to 3 floats, and writes up to 3 vectors, behind each row.
struct LanePack {
  const float* src;
  int64_t pitch;
  LaneGrid grid;
  int64_t rows, columns;          // places
  int64_t row_step, column_step;  // vectors
  float* dst;
};
using PackLanesKernel = void(const LanePack& pack);

// Packs `count` neighbouring floats of every channel into `width` vectors, with zeros behind them.
struct FlatPack {
  const float* src;
  int64_t plane, channels;  // floats from one channel to the next
  int64_t count, width;
  float* dst;  // (channel, width) vectors
};
using PackFlatKernel = void(const FlatPack& pack);

// Writes the sums of `filters` output channels, (filter, height, width) vectors, with the epilogue:
// those of outputs [row, row + height) x [column, column + width) of every tile that lie inside the
// out_h x out_w outputs from y on, `pitch` floats a row.
struct LaneStore {
  const float* sums;
  int64_t filters, height, width;
  LaneGrid grid;
  int64_t row, column, out_h, out_w, pitch;
  const float* residual;  // null: none; laid out as y
  float* y;
  int64_t y_stride;
  Epilogue epilogue;
};
using StoreLanesKernel = void(const LaneStore& store);

// The same for lanes that are neighbours: the first `count` floats of each filter's vectors.
struct FlatStore {
  const float* sums;
  int64_t filters, sums_stride;  // floats
  int64_t count;
  const float* residual;
  float* y;
  int64_t y_stride;
  Epilogue epilogue;
};
using StoreFlatKernel = void(const FlatStore& store);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_LANES_KERNEL_H_
