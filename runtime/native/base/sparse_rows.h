// A sparse weight, row by row.
#ifndef SPARSEPASS_BASE_SPARSE_ROWS_H_
#define SPARSEPASS_BASE_SPARSE_ROWS_H_

#include <cstdint>
#include <vector>

namespace sparsepass {

// Rows of a SparseRows, which must outlive it: row r owns weights [row_start[r], row_start[r + 1]).
struct RowRange {
  int64_t rows;
  const int64_t* row_start;
  const int32_t* tap;
  const float* value;

  int64_t count() const { return row_start[rows] - row_start[0]; }
  RowRange first(int64_t count) const { return {count, row_start, tap, value}; }
  RowRange from(int64_t row) const { return {rows - row, row_start + row, tap, value}; }
};

// Kept weights by output channel: row r owns [row_start[r], row_start[r + 1]), ordered by tap;
// `tap` counts over all input channels, so that equal taps of two rows read the same input.
struct SparseRows {
  int64_t rows;
  std::vector<int64_t> row_start;
  std::vector<int32_t> tap;
  std::vector<float> value;

  RowRange all() const { return {rows, row_start.data(), tap.data(), value.data()}; }
};

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_SPARSE_ROWS_H_
