#include "sparse_tiles.h"

#include <algorithm>
#include <limits>

namespace sparsepass {
namespace {

// Taps of a slice: with fewer, what it costs to begin and to end a list exceeds what the input gains from
// staying in the first-level cache.
constexpr size_t kSliceTaps = 192;
static_assert(kSliceTaps <= std::numeric_limits<uint8_t>::max(), "lists are counted in bytes");

// Which rows of a tile keep a tap, and what they keep.
struct Kept {
  unsigned rows = 0;
  float value[kTileRows];
};

}  // namespace

SparseTiles::SparseTiles(const SparseRows& weight, int64_t first,
                         const std::vector<int64_t>& offset) {
  const int64_t rows = weight.rows - first;
  const int64_t count = (rows + kMostTiledRows - 1) / kMostTiledRows;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t begin = b * tiles / count * kTileRows;
    const int64_t end = std::min((b + 1) * tiles / count * kTileRows, rows);
    add_block(weight, first + begin, end - begin, offset);
  }
}

void SparseTiles::add_block(const SparseRows& weight, int64_t first, int64_t rows,
                            const std::vector<int64_t>& offset) {
  const int64_t begin = weight.row_start[first], end = weight.row_start[first + rows];
  std::vector<int32_t> taps(weight.tap.begin() + begin, weight.tap.begin() + end);
  std::sort(taps.begin(), taps.end());
  taps.erase(std::unique(taps.begin(), taps.end()), taps.end());
  blocks_.push_back({first, rows, slices_.size(), 0, counts_.size(), distances_.size(),
                     values_.size()});
  std::vector<int64_t> next(weight.row_start.begin() + first,
                            weight.row_start.begin() + first + rows);
  for (size_t t = 0; t < taps.size();) {
    const size_t slice = t;
    int64_t least = offset[taps[t]], most = least;
    for (; t < taps.size() && t - slice < kSliceTaps; ++t) {
      const int64_t low = std::min(least, offset[taps[t]]), high = std::max(most, offset[taps[t]]);
      if (high - low > std::numeric_limits<uint16_t>::max()) break;
      least = low;
      most = high;
    }
    slices_.push_back(least);
    ++blocks_.back().slices;
    for (int64_t tile = 0; tile < rows; tile += kTileRows) {
      Kept kept[kSliceTaps];
      for (int64_t r = tile; r < std::min(tile + kTileRows, rows); ++r) {
        for (size_t i = slice; i < t; ++i) {
          if (next[r] == weight.row_start[first + r + 1] || weight.tap[next[r]] != taps[i]) continue;
          kept[i - slice].value[r - tile] = weight.value[next[r]++];
          kept[i - slice].rows |= 1u << (r - tile);
        }
      }
      for (unsigned pattern = 1; pattern < kTilePatterns; ++pattern) {
        uint8_t count = 0;
        for (size_t i = slice; i < t; ++i) {
          if (kept[i - slice].rows != pattern) continue;
          ++count;
          distances_.push_back(static_cast<uint16_t>(offset[taps[i]] - least));
          for (int r = 0; r < kTileRows; ++r) {
            if (pattern >> r & 1) values_.push_back(kept[i - slice].value[r]);
          }
        }
        counts_.push_back(count);
      }
    }
  }
}

SpmmTile SparseTiles::tile(const Block& block) const {
  SpmmTile tile = {};
  tile.slices = slices_.data() + block.slice;
  tile.slice_count = static_cast<int64_t>(block.slices);
  tile.counts = counts_.data() + block.count;
  tile.distances = distances_.data() + block.distance;
  tile.values = values_.data() + block.value;
  tile.rows = block.rows;
  return tile;
}

}  // namespace sparsepass
