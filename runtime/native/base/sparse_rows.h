// A sparse weight, row by row.
#ifndef SPARSEPASS_BASE_SPARSE_ROWS_H_
#define SPARSEPASS_BASE_SPARSE_ROWS_H_

#include <cstdint>
#include <vector>

namespace sparsepass {

// Kept weights by output channel: row r owns [row_start[r], row_start[r + 1]), ordered by tap;
// `tap` counts over all input channels, so that equal taps of two rows read the same input.
struct SparseRows {
  int64_t rows;
  std::vector<int64_t> row_start;
  std::vector<int32_t> tap;
  std::vector<float> value;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_SPARSE_ROWS_H_
