#include "weight_sparse/sparse_tiles.h"

#include <algorithm>
#include <limits>

namespace sparsepass {
namespace {

constexpr size_t kSliceTaps = Tuning::slice_taps;
static_assert(kSliceTaps <= std::numeric_limits<uint8_t>::max(), "lists are counted in bytes");

// Taps that one of rows [first, first + rows) keeps, in order, of `count`.
std::vector<int32_t> taps_of(const RowRange& weight, int64_t first, int64_t rows, size_t count) {
  std::vector<bool> is_kept(count);
  for (int64_t e = weight.row_start[first]; e < weight.row_start[first + rows]; ++e) {
    is_kept[weight.tap[e]] = true;
  }
  std::vector<int32_t> taps;
  for (size_t tap = 0; tap < count; ++tap) {
    if (is_kept[tap]) taps.push_back(static_cast<int32_t>(tap));
  }
  return taps;
}

}  // namespace

// What a tile keeps of a tap: `value[r]` in each row r whose bit `pattern` has set.
struct SparseTiles::Kept {
  unsigned pattern;
  uint16_t distance;
  float value[kTileRows];
};

SparseTiles::SparseTiles(const RowRange& weight, const std::vector<int64_t>& offset) {
  const int64_t rows = weight.rows;
  const int64_t count = (rows + kMostTiledRows - 1) / kMostTiledRows;
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  values_.reserve(weight.count());
  for (int64_t b = 0; b < count; ++b) {
    const int64_t begin = b * tiles / count * kTileRows;
    const int64_t end = std::min((b + 1) * tiles / count * kTileRows, rows);
    add_block(weight, begin, end - begin, offset);
  }
  slices_.shrink_to_fit();
  counts_.shrink_to_fit();
  distances_.shrink_to_fit();
}

void SparseTiles::add_block(const RowRange& weight, int64_t first, int64_t rows,
                            const std::vector<int64_t>& offset) {
  blocks_.push_back(
      {first, rows, slices_.size(), 0, counts_.size(), distances_.size(), values_.size()});
  const std::vector<int32_t> taps = taps_of(weight, first, rows, offset.size());
  // The next weight of each row.
  std::vector<int64_t> next(weight.row_start + first, weight.row_start + first + rows);
  for (size_t end = 0; end < taps.size();) {
    const size_t begin = end;
    int64_t least = offset[taps[begin]], most = least;
    for (; end < taps.size() && end - begin < kSliceTaps; ++end) {
      const int64_t at = offset[taps[end]];
      if (std::max(most, at) - std::min(least, at) > std::numeric_limits<uint16_t>::max()) break;
      least = std::min(least, at);
      most = std::max(most, at);
    }
    slices_.push_back(least);
    ++blocks_.back().slices;
    for (int64_t tile = 0; tile < rows; tile += kTileRows) {
      const int64_t tile_rows = std::min<int64_t>(kTileRows, rows - tile);
      Kept kept[kSliceTaps] = {};
      for (size_t t = begin; t < end; ++t) {
        kept[t - begin].distance = static_cast<uint16_t>(offset[taps[t]] - least);
        for (int64_t r = 0; r < tile_rows; ++r) {
          int64_t& e = next[tile + r];
          if (e == weight.row_start[first + tile + r + 1] || weight.tap[e] != taps[t]) continue;
          kept[t - begin].pattern |= 1u << r;
          kept[t - begin].value[r] = weight.value[e++];
        }
      }
      add_tile(kept, kept + (end - begin));
    }
  }
}

void SparseTiles::add_tile(const Kept* begin, const Kept* end) {
  for (unsigned pattern = 1; pattern < kTilePatterns; ++pattern) {
    uint8_t count = 0;
    for (const Kept* kept = begin; kept < end; ++kept) {
      if (kept->pattern != pattern) continue;
      ++count;
      distances_.push_back(kept->distance);
      for (int r = 0; r < kTileRows; ++r) {
        if (pattern >> r & 1) values_.push_back(kept->value[r]);
      }
    }
    counts_.push_back(count);
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
