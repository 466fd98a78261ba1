// The padded input of a strided convolution as one plane per phase of its rows and columns, on
// which neighbouring outputs read neighbouring elements.
#ifndef SPARSEPASS_WEIGHT_SPARSE_PHASES_H_
#define SPARSEPASS_WEIGHT_SPARSE_PHASES_H_

#include <cstdint>
#include <vector>

#include "base/convolution.h"
#include "kernels/spmm_kernel.h"

namespace sparsepass {

class Phases {
 public:
  Phases(const ConvParams& params, int64_t in_h, int64_t in_w);

  int64_t count() const { return static_cast<int64_t>(phases_.size()); }
  // Rows and columns that a plane has beyond its output rows and columns.
  int64_t extra_rows() const { return extra_rows_; }
  int64_t extra_columns() const { return extra_columns_; }
  // The least pitch of a plane whose rows share their padding: that at the right of one is that at
  // the left of the next, and that of the last row fits into the unit of zeros behind a plane.
  int64_t shared_pitch() const { return shared_pitch_; }

  // Where output (0, 0) finds a tap.
  struct Place {
    int64_t phase, row, column;
  };
  Place place(int64_t kernel_row, int64_t kernel_column) const;

  // The copy of what `rows` output rows from first_row on, and columns from first_column on as far
  // as a row of `pitch` floats goes, read in a phase of the channel at `src`; `dst` is the
  // caller's.
  PlaneCopy copy(int64_t phase, const float* src, int64_t first_row, int64_t first_column,
                 int64_t rows, int64_t pitch) const;

 private:
  struct Phase {
    int64_t row, column;      // of the input, modulo the strides
    int64_t zeros, elements;  // leading zeros of a row, then input elements
  };

  ConvParams params_;
  int64_t in_h_, in_w_;
  int64_t row_phases_, column_phases_;
  int64_t extra_rows_, extra_columns_, shared_pitch_;
  std::vector<Phase> phases_;  // (row phase, column phase)
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_PHASES_H_
