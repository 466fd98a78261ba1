#include "weight_sparse/blocked_program.h"

#include <algorithm>
#include <utility>

#include "base/arithmetic.h"
#include "conv/workers.h"

namespace sparsepass {

BlockedProgram::BlockedProgram(const SpmmProblem& problem, std::unique_ptr<const Packing> packing,
                               std::unique_ptr<const SpmmBlocks> blocks)
    : layer_(problem.layer),
      in_size_(layer_.params.channels() * problem.in_h * problem.in_w),
      y_stride_(problem.positions()),
      packing_(std::move(packing)),
      blocks_(std::move(blocks)),
      longest_strip_(0) {
  for (const Strip& strip : packing_->strips()) {
    longest_strip_ = std::max(longest_strip_, strip.units);
  }
}

void BlockedProgram::run(const Operands& o, Host& host) const {
  // A unit takes as long whether it has one output or all.
  const double work = static_cast<double>(o.batch) * static_cast<double>(packing_->units().size()) *
                      static_cast<double>(kUnit * layer_.kept);
  const int64_t strips = o.batch * static_cast<int64_t>(packing_->strips().size());
  if (host.threads() == 1 || work < layer_.kernels.tuning.parallel_multiplies) {
    run_strips(o, host, false);
  } else if (strips % host.threads() == 0 || strips > 4 * host.threads() || blocks_->count() == 1) {
    run_strips(o, host, true);
  } else {
    run_blocks(o, host);
  }
}

// Every task packs a strip and computes all of its outputs.
void BlockedProgram::run_strips(const Operands& o, Host& host, bool parallel) const {
  const std::vector<Strip>& strips = packing_->strips();
  const int64_t per_image = static_cast<int64_t>(strips.size());
  const int64_t count = o.batch * per_image;
  const int64_t packed_floats = round_up(packing_->strip_floats(), kUnit);
  const Workers workers(host, parallel ? count : 1,
                        packed_floats + longest_strip_ * blocks_->partial_floats());
  blocks_->prefetch(0);
  workers.run(count, [&](int64_t index, float* packed) {
    const Strip& strip = strips[index % per_image];
    BlockRun run = strip_run(o, index / per_image, strip);
    run.flushes = parallel && !host.shares_cache();
    if (run.flushes) blocks_->flush_outputs(strip, run.y);
    if (packing_->strip_floats()) {
      packing_->pack(run.x, strip, 0, layer_.params.channels(), packed, layer_.kernels);
      run.x = packed;
    }
    compute(run, packed + packed_floats);
  });
}

// Tasks share the packed input of a strip, and each computes some of its output channels.
void BlockedProgram::run_blocks(const Operands& o, Host& host) const {
  const int64_t channels = layer_.params.channels(), total = blocks_->count();
  const int64_t tasks = std::min<int64_t>(total, 2 * host.threads());
  const int64_t packers = std::min<int64_t>(channels, host.threads());
  float* packed = static_cast<float*>(host.scratch(packing_->strip_floats() * sizeof(float)));
  const Workers workers(host, tasks, longest_strip_ * blocks_->partial_floats());
  for (int64_t image = 0; image < o.batch; ++image) {
    for (const Strip& strip : packing_->strips()) {
      BlockRun all = strip_run(o, image, strip);
      all.flushes = !host.shares_cache();
      if (packing_->strip_floats()) {
        host.parallel_for(packers, [&](int64_t p) {
          packing_->pack(all.x, strip, p * channels / packers, (p + 1) * channels / packers, packed,
                         layer_.kernels);
        });
        all.x = packed;
      }
      workers.run(tasks, [&](int64_t t, float* partial) {
        BlockRun run = all;
        run.first_block = t * total / tasks;
        run.last_block = (t + 1) * total / tasks;
        blocks_->prefetch(run.first_block);
        compute(run, partial);
      });
    }
  }
}

BlockRun BlockedProgram::strip_run(const Operands& o, int64_t image, const Strip& strip) const {
  const int64_t at = image * layer_.params.filters * y_stride_;
  BlockRun run = {};
  run.x = o.x + image * in_size_;
  run.residual = o.residual ? o.residual + at : nullptr;
  run.y = o.y + at;
  run.y_stride = y_stride_;
  run.strip = &strip;
  run.last_block = blocks_->count();
  return run;
}

void BlockedProgram::compute(const BlockRun& run, float* partial) const {
  const std::vector<Unit>& units = packing_->units();
  const size_t end = static_cast<size_t>(run.strip->first_unit + run.strip->units);
  const int64_t first = units[run.strip->first_unit].y;
  const int64_t last = end == units.size() ? y_stride_ : units[end].y;
  for (int64_t b = run.first_block; b < run.last_block; ++b) {
    blocks_->run(b, run, partial);
    // A smooth activation follows while the outputs are in cache.
    const SpmmBlocks::Rows rows = blocks_->rows(b);
    layer_.kernels.smooth_activation({layer_.epilogue.smooth,
                                      run.y + rows.first * y_stride_ + first, rows.count, y_stride_,
                                      last - first});
  }
}

}  // namespace sparsepass
