// Blocks of output channels as generated code, and as tiles where code would take too much memory.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "weight_sparse/blocked_program.h"
#include "weight_sparse/spmm_code.h"
#include "weight_sparse/tiled.h"

namespace sparsepass {
namespace {

// That a program may take, as far as tiles instead of code can help.
size_t most_bytes(const SpmmLayer& layer) {
  const int64_t all = layer.params.filters * layer.params.taps();
  const Tuning& tuning = layer.kernels.tuning;
  const double bounded = tuning.bounded_density * static_cast<double>(all);
  if (static_cast<double>(layer.kept) > bounded) return std::numeric_limits<size_t>::max();
  return std::max<int64_t>(tuning.unbounded_bytes, all * sizeof(float));
}

SpmmCodeOptions code_options(const SpmmProblem& problem, const Packing& packing) {
  int64_t fewest = packing.strips().front().units;
  for (const Strip& strip : packing.strips()) fewest = std::min(fewest, strip.units);
  SpmmCodeOptions options;
  options.epilogue = problem.layer.epilogue;
  options.residual = problem.residual;
  options.gaps = packing.has_gaps();
  options.y_stride = problem.positions();
  options.units = fewest;
  const Tuning& tuning = problem.layer.kernels.tuning;
  options.most_multiplies =
      fewest >= tuning.piece_units ? tuning.piece_multiplies : std::numeric_limits<int64_t>::max();
  return options;
}

// The first `rows` rows are code, the others tiles.
class GeneratedBlocks : public SpmmBlocks {
 public:
  GeneratedBlocks(const SpmmLayer& layer, const RowRange& weight, int64_t rows,
                  const std::vector<int64_t>& offset, const std::vector<Unit>& units)
      : layer_(layer), units_(units), tiles_(layer, weight, rows, offset, units.data()) {}

  // Makes the code of the rows of `weight`; false as SpmmCode.
  bool generate(const RowRange& weight, const std::vector<int64_t>& offset, SpmmCodeOptions options,
                size_t most) {
    options.most_bytes = most - std::min(most, tiles_.bytes());
    return code_.generate(weight, layer_.bias.data(), offset, options);
  }

  int64_t count() const override { return code_blocks() + tiles_.count(); }
  Rows rows(int64_t block) const override {
    if (block >= code_blocks()) return tiles_.rows(block - code_blocks());
    return {code_.blocks()[block].first_row, code_.blocks()[block].rows};
  }
  size_t bytes() const override { return code_.bytes() + tiles_.bytes(); }
  int64_t partial_floats() const override { return code_.partial_floats(); }

  void run(int64_t block, const BlockRun& run, float* partial) const override {
    if (block >= code_blocks()) return tiles_.run(block - code_blocks(), run, partial);
    const SpmmBlock& code = code_.blocks()[block];
    const bool flushes = run.flushes && block + 1 < std::min(run.last_block, code_blocks());
    code_.run(code, flushes ? &code + 1 : nullptr, units_.data(), run.strip->first_unit,
              run.strip->units, run.x, run.residual, run.y, partial);
  }
  void prefetch(int64_t block) const override {
    if (block < code_blocks()) code_.prefetch(code_.blocks()[block]);
  }
  void flush_outputs(const Strip& strip, float* y) const override {
    code_.flush_outputs(code_.blocks().front(), units_.data() + strip.first_unit, strip.units, y);
  }

 private:
  int64_t code_blocks() const { return static_cast<int64_t>(code_.blocks().size()); }

  const SpmmLayer& layer_;
  const std::vector<Unit>& units_;
  SpmmCode code_;
  TiledBlocks tiles_;
};

// Code of all rows; where that breaks the bound, of as many of the first rows as leave room for
// tiles of the others.  Null where none do, or code cannot be made.
std::unique_ptr<SpmmBlocks> make_blocks(const SpmmProblem& problem, const Packing& packing) {
  const RowRange weight = problem.weight.all();
  const std::vector<int64_t> offset = packing.tap_offsets();
  const SpmmCodeOptions options = code_options(problem, packing);
  const size_t most = most_bytes(problem.layer);
  double saved = 0.0;  // bytes that a row takes less as tiles than as code
  int64_t rows = weight.rows;
  while (rows > 0) {
    auto blocks =
        std::make_unique<GeneratedBlocks>(problem.layer, weight, rows, offset, packing.units());
    if (!blocks->generate(weight.first(rows), offset, options, most)) return nullptr;
    if (blocks->bytes() <= most) return blocks;
    if (rows == weight.rows) {
      const double tiles = static_cast<double>(SparseTiles(weight, offset).bytes());
      const double code = static_cast<double>(blocks->bytes());
      saved = std::max(1.0, (code - tiles) / static_cast<double>(rows));
    }
    const double excess = static_cast<double>(blocks->bytes() - most) / saved;
    rows -= static_cast<int64_t>(std::ceil(excess / kTileRows)) * kTileRows;
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<SpmmProgram> generated(const SpmmProblem& problem) {
  if (!SpmmCode::knows(problem.layer.kernels.isa)) return nullptr;
  std::unique_ptr<const Packing> packing = make_packing(problem.packing());
  std::unique_ptr<const SpmmBlocks> blocks = make_blocks(problem, *packing);
  if (!blocks) return nullptr;
  return std::make_unique<BlockedProgram>(problem, std::move(packing), std::move(blocks));
}

}  // namespace sparsepass
