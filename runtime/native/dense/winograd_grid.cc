#include "dense/winograd_grid.h"

#include "base/arithmetic.h"
#include "base/machine.h"

namespace sparsepass {
namespace {

// Tile rows of at most `tiles` tiles: as few blocks as possible, or the fewest idle lanes.
int64_t block_rows(const WinogradLayer& layer, const WinogradGrid& g, int64_t tiles) {
  const int64_t most = std::clamp<int64_t>(tiles / g.row_tiles, 1, g.rows);
  int64_t best = divide_up(g.rows, divide_up(g.rows, most));
  auto vectors = [&](int64_t rows) {
    int64_t whole = g.rows / rows, rest = g.rows % rows;
    return whole * divide_up(rows * g.row_tiles, layer.lanes) +
           divide_up(rest * g.row_tiles, layer.lanes);
  };
  for (int64_t rows = most; rows >= 1 && 2 * rows > most; --rows) {
    if (vectors(rows) < vectors(best)) best = rows;
  }
  return best;
}

// Tiles of a block that a thread has to itself: their transformed input takes its share of the
// cache, with few channels the sums of a pass as well.
int64_t most_tiles(const WinogradLayer& layer) {
  const int64_t depth = layer.channels + (layer.few_channels ? layer.pass_filters : 0);
  const int64_t room = floats_in(layer.tuning.winograd_second_level, caches().second);
  const int64_t tiles = room / (layer.variant.positions() * depth);
  return std::max(tiles / layer.lanes * layer.lanes, layer.tuning.winograd_block_tiles);
}

// At least so many passes: parts of those that the weight is packed for, which begin at whole
// blocks of lanes.
void share_passes(const WinogradLayer& layer, int64_t least, WinogradGrid* g) {
  int64_t filters = layer.pass_filters;
  while (divide_up(layer.filters, filters) < least && filters % (2 * layer.lanes) == 0) {
    filters /= 2;
  }
  g->pass_filters = std::min(filters, round_up(layer.filters, layer.lanes));
  g->passes = divide_up(layer.filters, g->pass_filters);
}

// Into blocks of `tiles` tiles at most, a tile row at least, for so many threads.
WinogradGrid divide_tiles(const WinogradLayer& layer, const Operands& operands, int64_t tiles,
                          int64_t threads) {
  WinogradGrid g;
  g.out_h = layer.params.out_h(operands.in_h);
  g.out_w = layer.params.out_w(operands.in_w);
  g.image_rows = divide_up(g.out_h, layer.variant.m);
  g.rows = g.image_rows * operands.batch;
  g.row_tiles = divide_up(g.out_w, layer.variant.m);
  g.part_tiles = g.row_tiles;
  if (g.row_tiles > tiles) {
    g.part_tiles = round_up(divide_up(g.row_tiles, divide_up(g.row_tiles, tiles)), layer.lanes);
  }
  g.row_parts = divide_up(g.row_tiles, g.part_tiles);
  g.block_rows = block_rows(layer, g, tiles);
  // The transform of a band takes its share of the cache.
  const auto floats = [&](int64_t rows) {
    return winograd_input_floats(layer.variant.m, layer.variant.taps, layer.stride, rows,
                                 g.part_tiles);
  };
  const int64_t near = floats_in(layer.tuning.winograd_band, caches().second);
  g.band_rows = std::clamp<int64_t>((near - floats(0)) / (floats(1) - floats(0)), 1, g.block_rows);
  // What a low band shares is less than what its lines lose.
  if (fill_vectors(g.part_tiles, layer.lanes) && (layer.stride > 1 || g.band_rows < 4)) {
    g.band_rows = 1;
  }
  g.input_memory = round_up(floats(g.band_rows), 16);
  g.output_memory = winograd_output_floats(layer.variant.m, g.band_rows, g.part_tiles);
  g.large = divide_up(g.rows, g.block_rows);
  g.small_rows = 0;
  if (g.row_parts * layer.params.groups == 1 && g.large > threads && g.large % threads != 0) {
    // What would leave threads idle at the end, all of them share.
    g.large -= g.large % threads;
    const int64_t rest = g.rows - g.large * g.block_rows;
    g.small_rows = divide_up(rest, threads);
    g.blocks = g.large + divide_up(rest, g.small_rows);
  } else {
    g.blocks = g.large * g.row_parts;
  }
  g.shared = false;
  share_passes(layer, 1, &g);
  return g;
}

}  // namespace

std::vector<WinogradBand> WinogradGrid::bands(int64_t index) const {
  const int64_t first = index % row_parts * part_tiles;
  const int64_t tiles = std::min(part_tiles, row_tiles - first);
  const int64_t end = first_row(index / row_parts + 1);
  std::vector<WinogradBand> all;
  for (int64_t row = first_row(index / row_parts); row < end;) {
    const int64_t in_image = row % image_rows;
    const int64_t rows = std::min({band_rows, image_rows - in_image, end - row});
    all.push_back({row / image_rows, in_image, rows, first, tiles});
    row += rows;
  }
  return all;
}

WinogradGrid divide(const WinogradLayer& layer, const Operands& operands, int64_t threads) {
  const int64_t tiles = most_tiles(layer), groups = layer.params.groups;
  WinogradGrid g = divide_tiles(layer, operands, tiles, 1);
  if (threads == 1) return g;
  const int64_t each = divide_up(g.rows * groups, threads) * g.row_tiles;
  const WinogradGrid own =
      divide_tiles(layer, operands, std::min(tiles, std::max(each, 2 * layer.lanes)), threads);
  const int64_t tasks = own.blocks * groups, turns = round_up(tasks, threads);
  if (turns - tasks <= turns / layer.tuning.winograd_turns_of_idle) return own;
  g.shared = true;
  share_passes(layer, 2 * threads, &g);
  return g;
}

}  // namespace sparsepass
