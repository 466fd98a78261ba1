// Signatures of the transforms of Winograd convolution F(m x m, r x r).
//
// A tile is (m + r - 1) x (m + r - 1) input elements, or as many transformed values ("positions",
// row by row), or m x m outputs.  A job is about some neighbouring tiles of one tile row; vectors
// run along tiles.
//
// With stride s, the input rows and columns that leave the same remainder when divided by s are a
// plane of their own, a "phase", and every phase of a channel is a channel of a convolution with
// stride 1.
#ifndef SPARSEPASS_KERNELS_WINOGRAD_KERNEL_H_
#define SPARSEPASS_KERNELS_WINOGRAD_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// out[position * position_stride + channel * channel_stride + tile] = (B^T d B)[position], where
// `channel` counts (row phase, channel, column phase).  Returns whether all that was read is
// finite: an infinity or NaN spreads over the tile, also where the convolution does not meet it.
struct WinogradInput {
  const float* x;  // first of `channels` planes of in_h * in_w
  int64_t in_h, in_w, channels;
  int64_t stride;            // 1, 2 or 4
  int64_t first_y, first_x;  // input position of the first tile's corner; padding is outside
  int64_t tiles;
  const float* zeros;  // in_w zeros
  float* rows;         // memory for m + r - 1 rows of row_stride floats, a multiple of 16
  int64_t row_stride;  // at least winograd_row_floats(m * stride, tiles)
  float* out;
  int64_t position_stride, row_phase_stride, channel_stride;
};
using WinogradInputKernel = bool(const WinogradInput& job);

// Tiles, `step` elements apart, are read in units of the widest vector; a row begins anywhere in
// its first vector.
constexpr int64_t winograd_row_floats(int64_t step, int64_t tiles) {
  return (tiles + 15) / 16 * 16 * step + 48;
}

// y = epilogue(A^T sums A + bias (+ residual)), for `filters` planes plane_stride apart.  Of the
// tiles' outputs, `rows` rows and `columns` columns lie inside the map.  Vectors of sums are read
// whole: 15 floats past the last tile are readable.
struct WinogradOutput {
  const float* sums;
  int64_t position_stride, filter_stride;
  int64_t filters, tiles;
  float* y;               // output of the first tile's corner
  const float* residual;  // null: none; laid out as y
  int64_t out_w, plane_stride;
  int64_t rows, columns;
  const float* bias;
  Epilogue epilogue;
};
using WinogradOutputKernel = void(const WinogradOutput& job);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_WINOGRAD_KERNEL_H_
