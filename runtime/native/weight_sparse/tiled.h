// Blocks of output channels in register tiles.
#ifndef SPARSEPASS_WEIGHT_SPARSE_TILED_H_
#define SPARSEPASS_WEIGHT_SPARSE_TILED_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "weight_sparse/blocked_program.h"
#include "weight_sparse/sparse_tiles.h"

namespace sparsepass {

class TiledBlocks : public SpmmBlocks {
 public:
  // Rows of `weight` from `first` on; `offset[tap]` is the distance in floats from a unit's input.
  TiledBlocks(const SpmmLayer& layer, const RowRange& weight, int64_t first,
              const std::vector<int64_t>& offset, const Unit* units)
      : layer_(layer), first_(first), tiles_(weight.from(first), offset), units_(units) {}

  int64_t count() const override { return static_cast<int64_t>(tiles_.blocks().size()); }
  Rows rows(int64_t block) const override {
    return {first_ + tiles_.blocks()[block].first_row, tiles_.blocks()[block].rows};
  }
  size_t bytes() const override { return tiles_.bytes(); }
  void run(int64_t block, const BlockRun& run, float* partial) const override;

 private:
  const SpmmLayer& layer_;
  int64_t first_;
  SparseTiles tiles_;
  const Unit* units_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_TILED_H_
