#include "weight_sparse/tiled.h"

#include <utility>

#include "base/arithmetic.h"

namespace sparsepass {

void TiledBlocks::run(int64_t block, const BlockRun& run, float*) const {
  const int64_t first_row = rows(block).first, skipped = first_row * run.y_stride;
  SpmmTile tile = tiles_.tile(tiles_.blocks()[block]);
  tile.x = run.x;
  tile.bias = layer_.bias.data() + first_row;
  tile.residual = run.residual ? run.residual + skipped : nullptr;
  tile.y = run.y + skipped;
  tile.y_stride = run.y_stride;
  tile.epilogue = layer_.epilogue;
  // In equal turns: a single unit would keep too few sums going.
  const int64_t turns = divide_up(run.strip->units, kMostUnits);
  for (int64_t t = 0; t < turns; ++t) {
    const int64_t first = t * run.strip->units / turns;
    tile.units = units_ + run.strip->first_unit + first;
    tile.count = (t + 1) * run.strip->units / turns - first;
    layer_.kernels.spmm_tile(tile);
  }
}

std::unique_ptr<SpmmProgram> tiled(const SpmmProblem& problem) {
  std::unique_ptr<const Packing> packing = make_packing(problem.packing());
  auto blocks = std::make_unique<TiledBlocks>(problem.layer, problem.weight.all(), 0,
                                              packing->tap_offsets(), packing->units().data());
  return std::make_unique<BlockedProgram>(problem, std::move(packing), std::move(blocks));
}

}  // namespace sparsepass
