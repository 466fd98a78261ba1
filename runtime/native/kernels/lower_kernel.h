// Signature of the micro-kernels that lower the input of a convolution to the panel of a matrix
// product.
#ifndef SPARSEPASS_KERNELS_LOWER_KERNEL_H_
#define SPARSEPASS_KERNELS_LOWER_KERNEL_H_

#include <cstdint>

#include "base/convolution.h"

namespace sparsepass {

// Copies the input elements that `columns` output positions from first_column on read, counted
// along rows of out_w, zeros for padding.
//
// im2col: row (c, i, j) of the panel holds what kernel element (i, j) reads in channel c.
//
// MEC: columns are whole output rows, and row (c, j) holds what kernel column j reads in every
// input row under them, those that are equal modulo stride_h next to each other: (phase, row,
// out_w).
// phase_rows is the number of input rows of a phase.
struct LowerJob {
  const ConvParams* params;
  const float* x;  // first of `channels` planes of in_h * in_w
  int64_t in_h, in_w, out_w;
  int64_t channels;
  int64_t first_column, columns;
  int64_t phase_rows;
  float* panel;
  int64_t panel_stride;
};
using LowerKernel = void(const LowerJob& job);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_LOWER_KERNEL_H_
