// Generated code for weight-sparse convolution.
//
// For a block of output channels, every kept weight becomes one fused multiply-add whose
// accumulator is fixed in the instruction: no index is loaded, an input vector is loaded once for
// all channels of the block that use it, and accumulators never leave their registers (the idea of
// arXiv 2101.07948; the values stay in memory, so that code and weights stream side by side).
#ifndef SPARSEPASS_WEIGHT_SPARSE_SPMM_CODE_H_
#define SPARSEPASS_WEIGHT_SPARSE_SPMM_CODE_H_

#include <cstdint>
#include <vector>

#include "base/machine.h"
#include "base/sparse_rows.h"
#include "conv/conv.h"
#include "jit/code_buffer.h"
#include "kernels/spmm_kernel.h"

namespace sparsepass {

struct SpmmCodeOptions {
  Epilogue epilogue;
  bool residual;            // the call adds one
  bool gaps;                // units may keep lanes that are no neighbours
  int64_t y_stride;         // floats from one output channel to the next
  int64_t most_multiplies;  // of one piece of code, so that it stays in the instruction cache
  int64_t units;            // over which a piece runs at least
  size_t most_bytes;        // of memory, if code alone does not take more
};

// A block of output channels: its pieces of code, [first_piece, last_piece), run one after the
// other over the same units.
struct SpmmBlock {
  int64_t first_row, rows;
  size_t first_piece, last_piece;
};

class SpmmCode {
 public:
  // Whether code can be made for `isa`.
  static bool knows(Isa isa);

  // `offset[tap]` is the distance in floats from a unit's input.  False where the distances do not
  // fit into an instruction or the system forbids generated code.
  bool generate(const RowRange& weight, const float* bias, const std::vector<int64_t>& offset,
                const SpmmCodeOptions& options);

  const std::vector<SpmmBlock>& blocks() const { return blocks_; }
  // Floats of `partial` per unit.
  int64_t partial_floats() const { return partial_floats_; }
  size_t bytes() const { return code_.bytes(); }

  // Prefetches the first piece of a block.
  void prefetch(const SpmmBlock& block) const;

  // Flushes the lines that a block writes over `count` units.
  void flush_outputs(const SpmmBlock& block, const Unit* units, int64_t count, float* y) const;

  // Runs a block over units [first, first + count): `x` is the packed input the units count from,
  // `y` and `residual` the image's first output; `partial` holds partial_floats() * count floats.
  // Where it is not null, the lines that `next` writes are flushed meanwhile.
  void run(const SpmmBlock& block, const SpmmBlock* next, const Unit* units, int64_t first,
           int64_t count, const float* x, const float* residual, float* y, float* partial) const;

 private:
  // Code, then the weights it reads.  While a piece runs over its units it prefetches the next one,
  // a slice per unit: a network's code exceeds every cache, and nothing else fetches code ahead.
  struct Piece {
    size_t code, weights, next;
    size_t slice;  // bytes of the next piece that one call prefetches
  };
  // Lanes of a unit before the first one it keeps: without gaps lanes do not move, so that the
  // outputs of a unit begin so many floats before the first one kept.
  int64_t skipped(const Unit& unit) const { return gaps_ ? 0 : __builtin_ctz(unit.mask); }

  struct PieceContent;

  static std::vector<uint8_t> write_piece(const PieceContent& content, size_t* weights_at);

  bool gaps_ = false;
  int64_t y_stride_ = 0;
  int64_t partial_floats_ = 0;
  CodeBuffer code_;
  size_t code_end_ = 0;  // of the last piece
  std::vector<Piece> pieces_;
  std::vector<SpmmBlock> blocks_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPMM_CODE_H_
