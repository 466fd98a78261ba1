// Kept weights in register tiles, for weight-sparse convolution driven by data.
//
// Four output channels share an input vector: a tap stands in one list with all taps that the same
// ones of the four keep, so that the list alone says which accumulators it is added to, and every
// weight costs its value and a part of a 16-bit distance (Wilkinson et al., PLDI 2023).  Lists
// cover a slice of the taps at a time, so that distances are short and the input stays close while
// all rows pass.
#ifndef SPARSEPASS_WEIGHT_SPARSE_SPARSE_TILES_H_
#define SPARSEPASS_WEIGHT_SPARSE_SPARSE_TILES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/sparse_rows.h"
#include "kernels/table.h"

namespace sparsepass {

class SparseTiles {
 public:
  // Output channels computed together, slice by slice, and where what they read begins.
  struct Block {
    int64_t first_row, rows;
    size_t slice, slices, count, distance, value;
  };

  // `offset[tap]` is the distance in floats from a unit's input.
  SparseTiles(const RowRange& weight, const std::vector<int64_t>& offset);

  const std::vector<Block>& blocks() const { return blocks_; }
  size_t bytes() const {
    return blocks_.size() * sizeof(Block) + slices_.size() * sizeof(int64_t) + counts_.size() +
           distances_.size() * sizeof(uint16_t) + values_.size() * sizeof(float);
  }

  // The part of a call that says which weights.
  SpmmTile tile(const Block& block) const;

 private:
  struct Kept;

  void add_block(const RowRange& weight, int64_t first, int64_t rows,
                 const std::vector<int64_t>& offset);
  void add_tile(const Kept* begin, const Kept* end);

  std::vector<Block> blocks_;
  std::vector<int64_t> slices_;  // offset from which a slice's distances count
  std::vector<uint8_t> counts_;
  std::vector<uint16_t> distances_;
  std::vector<float> values_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPARSE_TILES_H_
