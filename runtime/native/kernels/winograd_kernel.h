// Signatures of the transforms of Winograd convolution F(m x m, r x r).
//
// A tile is (m + r - 1) x (m + r - 1) input elements, or as many transformed values ("positions",
// row by row), or m x m outputs.  A band is some neighbouring tiles of neighbouring tile rows of
// one image; vectors run along all its tiles, so that narrow maps leave few lanes idle.
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
// `channel` counts (row phase, channel, column phase) and `tile` the tiles row by row.  What is
// stored behind the last tile, up to `room` floats, means nothing.  Returns whether all that was
// read is finite: an infinity or NaN spreads over the tile, also where the convolution does not
// meet it.
struct WinogradInput {
  const float* x;  // first of `channels` planes of in_h * in_w
  int64_t in_h, in_w, channels;
  int64_t stride;            // 1, 2 or 4
  int64_t first_y, first_x;  // input position of the first tile's corner; padding is outside
  int64_t tile_rows, row_tiles;
  float* memory;  // winograd_input_floats, aligned to a cache line
  float* out;
  int64_t room;
  int64_t position_stride, row_phase_stride, channel_stride;
};
using WinogradInputKernel = bool(const WinogradInput& job);

// `floats` and what is left of their last line of the cache.
static constexpr int64_t whole_cache_lines(int64_t floats) { return (floats + 15) / 16 * 16; }

// Floats between the lines of a band that the input transform of F(m x m, taps x taps) keeps:
// copied input rows, and transforms along rows.  Whole vectors are written.
static constexpr int64_t winograd_line_floats(int64_t row, int64_t tile_rows) {
  return (tile_rows + 1) * row + 16;
}

// The same of the transforms, whose vectors are stored to one line of the cache each.
static constexpr int64_t winograd_transform_floats(int64_t row_tiles, int64_t tile_rows) {
  return whole_cache_lines(winograd_line_floats(row_tiles, tile_rows));
}

// Memory of the input transform: m lines of input rows with the same phase, each then transformed
// along the rows for every phase of the columns.  Vectors of tiles are read whole, past all lines
// of one kind.
static constexpr int64_t winograd_input_floats(int64_t m, int64_t taps, int64_t stride,
                                               int64_t tile_rows, int64_t row_tiles) {
  const int64_t row = (row_tiles * m + taps - 1) * stride;
  const int64_t lines = tile_rows == 1 ? m + taps : m;
  return whole_cache_lines(lines * winograd_line_floats(row, tile_rows)) +
         m * (m + taps - 1) * stride * winograd_transform_floats(row_tiles, tile_rows) +
         16 * (m + taps) * stride + 16;
}

// y = epilogue(A^T sums A + bias (+ residual)), for `filters` planes plane_stride apart.  Of the
// tiles' outputs, `rows` rows and `columns` columns lie inside the map.  Vectors of sums are read
// whole: 15 floats past the last tile are readable.
struct WinogradOutput {
  const float* sums;
  int64_t position_stride, filter_stride;
  int64_t filters;
  int64_t tile_rows, row_tiles;
  float* y;               // output of the first tile's corner
  const float* residual;  // null: none; laid out as y
  int64_t out_w, plane_stride;
  int64_t rows, columns;
  const float* bias;
  Epilogue epilogue;
  float* memory;  // winograd_output_floats, aligned to a cache line
};
using WinogradOutputKernel = void(const WinogradOutput& job);

// Memory of the output transform: rows of outputs of one filter.
static constexpr int64_t winograd_output_floats(int64_t m, int64_t tile_rows, int64_t row_tiles) {
  return m * m * ((tile_rows * row_tiles + 15) / 16 * 16);
}

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_WINOGRAD_KERNEL_H_
