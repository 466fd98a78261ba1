// How a run of a Winograd convolution is divided.
#ifndef SPARSEPASS_DENSE_WINOGRAD_GRID_H_
#define SPARSEPASS_DENSE_WINOGRAD_GRID_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/arithmetic.h"
#include "conv/conv.h"
#include "dense/winograd_variant.h"

namespace sparsepass {

// Neighbouring tiles of neighbouring tile rows of one image, which are transformed together.
struct WinogradBand {
  int64_t image, row, rows, first, row_tiles;

  int64_t tiles() const { return rows * row_tiles; }
};

// Whether the tiles of a row leave few lanes idle, so that tile rows need not share vectors.
inline bool fill_vectors(int64_t row_tiles, int64_t lanes) {
  return row_tiles >= lanes && 4 * row_tiles >= 3 * round_up(row_tiles, lanes);
}

// How a run divides the tiles of a batch into blocks.  Tile rows are numbered through the batch.
struct WinogradGrid {
  int64_t out_h, out_w;
  int64_t image_rows, rows;       // tile rows in an image, in the batch
  int64_t row_tiles, part_tiles;  // tiles in a tile row, at most in the part that a block takes
  int64_t row_parts;              // blocks that share a tile row
  int64_t block_rows;             // tile rows in a block, or
  int64_t large, small_rows;      // in one of the first `large` block rows; in those behind
  int64_t blocks;
  int64_t band_rows;                    // most tile rows in a band
  int64_t input_memory, output_memory;  // floats that the transforms of a band take
  int64_t pass_filters, passes;         // filters of a pass, passes of a group
  bool shared;                          // threads share each block, by channels and by passes

  int64_t block_tiles() const { return block_rows * part_tiles; }
  // The first tile row of a block row; `rows` past the last one.
  int64_t first_row(int64_t index) const {
    return std::min(rows, std::min(index, large) * block_rows +
                              std::max<int64_t>(0, index - large) * small_rows);
  }
  // The tiles of block `index`, without regard to groups.
  std::vector<WinogradBand> bands(int64_t index) const;
};

// Every block reads the whole transformed weight, so that a few large ones read it seldom: blocks
// for each of the threads where these fill them, else as large ones as one thread has, shared.
WinogradGrid divide(const WinogradLayer& layer, const Operands& operands, int64_t threads);

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_WINOGRAD_GRID_H_
