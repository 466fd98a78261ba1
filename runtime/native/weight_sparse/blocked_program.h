// A program that computes output channels block by block over strips of the packed input.
#ifndef SPARSEPASS_WEIGHT_SPARSE_BLOCKED_PROGRAM_H_
#define SPARSEPASS_WEIGHT_SPARSE_BLOCKED_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "weight_sparse/packing.h"
#include "weight_sparse/spmm_program.h"

namespace sparsepass {

// One part of a run: blocks [first_block, last_block) over one strip of one image.
struct BlockRun {
  const float* x;         // what the units count from
  const float* residual;  // of the image, null: none
  float* y;               // of the image
  int64_t y_stride;       // floats from one output channel to the next
  const Strip* strip;
  int64_t first_block, last_block;
  bool flushes;  // other caches may hold what is written
};

// The output channels of a layer in blocks, and the weights of each as one form lays them out.
class SpmmBlocks {
 public:
  struct Rows {
    int64_t first, count;
  };

  virtual ~SpmmBlocks() = default;
  virtual int64_t count() const = 0;
  virtual Rows rows(int64_t block) const = 0;
  virtual size_t bytes() const = 0;
  // Floats of working memory that run() takes per unit of a strip.
  virtual int64_t partial_floats() const { return 0; }
  // Computes the outputs of `block`, one of those of `run`, up to a smooth activation.
  virtual void run(int64_t block, const BlockRun& run, float* partial) const = 0;
  // Prefetches what `block` reads first.
  virtual void prefetch(int64_t) const {}
  // Flushes the lines that the first block writes.
  virtual void flush_outputs(const Strip&, float* /* y */) const {}
};

class BlockedProgram : public SpmmProgram {
 public:
  BlockedProgram(const SpmmProblem& problem, std::unique_ptr<const Packing> packing,
                 std::unique_ptr<const SpmmBlocks> blocks);

  void run(const Operands& operands, Host& host) const override;
  size_t bytes() const override { return blocks_->bytes(); }
  size_t map_bytes() const override { return packing_->bytes(); }

 private:
  void run_strips(const Operands& operands, Host& host, bool parallel) const;
  void run_blocks(const Operands& operands, Host& host) const;
  // What strip `strip` of image `image` reads and writes, all blocks of it.
  BlockRun strip_run(const Operands& operands, int64_t image, const Strip& strip) const;
  void compute(const BlockRun& run, float* partial) const;

  const SpmmLayer& layer_;
  int64_t in_size_, y_stride_;  // floats of an input image, of an output channel
  std::unique_ptr<const Packing> packing_;
  std::unique_ptr<const SpmmBlocks> blocks_;
  int64_t longest_strip_;  // in units
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_BLOCKED_PROGRAM_H_
