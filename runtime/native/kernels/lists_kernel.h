// Signatures of the micro-kernels of sparse products that lists of weights drive.
//
// The input lies in a panel of vectors: the lanes of one are the same place in as many parts of the
// map, so that every tap of every output is a whole, aligned vector.
#ifndef SPARSEPASS_KERNELS_LISTS_KERNEL_H_
#define SPARSEPASS_KERNELS_LISTS_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// `rows` output channels that follow each other in a list and keep `weights` weights each.
struct ListRun {
  uint16_t weights, rows;
  bool first, last;  // whether the sums begin here, with the bias, and whether they are complete
};

// Distances are stored in units of so many floats, which lets 16 bits reach half a megabyte.
constexpr int64_t kListUnit = 2;
constexpr int64_t kMostListDistance = kListUnit * 65535;

// Sums that stay in registers.
constexpr int64_t kMostListVectors = 14;

// For every listed row and every vector of a block of height x width:
//   sums[row][i][j] += sum of value * panel[distance + (i * pitch + j) * lanes].
// Sums that are complete go, with the epilogue, to y + row * y_stride instead where y is not null:
// then height is 1, and all lanes of the block are outputs next to each other.
struct ListJob {
  const ListRun* runs;
  int64_t run_count;
  const uint16_t* row;
  const uint16_t* distance;
  const float* value;
  const float* panel;     // aligned, as are the sums
  int64_t height, width;  // at most kMostListVectors vectors
  int64_t pitch;          // vectors
  const float* bias;      // of each row
  float* sums;            // (row, height, width) vectors
  const float* residual;  // null: none; laid out as y
  float* y;
  int64_t y_stride;
  Epilogue epilogue;
};
using SpmmListsKernel = void(const ListJob& job);

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
// map of out_h x out_w.
struct LaneStore {
  const float* sums;
  int64_t filters, height, width;
  LaneGrid grid;
  int64_t row, column, out_h, out_w;
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

#endif  // SPARSEPASS_KERNELS_LISTS_KERNEL_H_
