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
  const uint16_t* row;  // one more is readable
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

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_LISTS_KERNEL_H_
