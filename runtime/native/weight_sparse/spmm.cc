// Weight-sparse convolution: packed input times kept weights (arXiv 1911.09723, arXiv 1608.01409).
//
// What depends on the size of the map (packing, distances, generated code) is a Program, made when
// a size is first seen and kept for the next runs.
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "conv/algorithms.h"
#include "conv/payload.h"
#include "conv/scratch.h"
#include "kernels/table.h"
#include "weight_sparse/packing.h"
#include "weight_sparse/sparse_dot.h"
#include "weight_sparse/sparse_tiles.h"
#include "weight_sparse/spmm_code.h"

namespace sparsepass {
namespace {

// Programs kept per layer: networks see few sizes, and each program holds the packed weight.
constexpr size_t kMostPrograms = 4;

// Multiply-adds of one piece of generated code where it runs over many units: its code (about 11
// bytes each) stays in the instruction cache, and the input channels it reads in the data cache.
constexpr int64_t kPieceMultiplies = 800;

// Units from which cutting code into pieces pays for storing accumulators between them.
constexpr int64_t kManyUnits = 24;

// Work below which another thread costs more than it takes off, in multiply-adds.
constexpr double kSmallWork = 256 * 1024;

// The same where every weight is used once, and memory is what takes the time.
constexpr double kSmallProducts = 64 * 1024;

struct Program {
  int64_t in_h, in_w;
  int64_t parts;  // threads that share it
  bool residual;
  Packing packing;
  int64_t units = 0;
  // The first rows are code, the others tiles.
  std::optional<SpmmCode> code;
  SparseTiles tiles;
  // Instead of all that, where the output is one position.
  bool single = false;
  SparseDot dot;

  int64_t code_blocks() const { return code ? static_cast<int64_t>(code->blocks().size()) : 0; }
  int64_t blocks() const { return code_blocks() + static_cast<int64_t>(tiles.blocks().size()); }
  int64_t partial_floats() const { return code ? code->partial_floats() : 0; }
  size_t bytes() const { return (code ? code->bytes() : 0) + tiles.bytes() + dot.bytes(); }
};

// Share of weights kept up to which a program takes no more memory than the dense weight.
constexpr double kMostBounded = 0.4;
// Bytes that it may take in any case: tiles of small weights would save next to nothing, and take
// longer.
constexpr int64_t kUnbounded = 24 * 1024;

// Keeps no copy of the weight: `weight` must outlive it, and programs hold what they need.
class Spmm : public Conv {
 public:
  Spmm(const ConvParams& params, const Weight& weight, const float* bias, const Epilogue& epilogue,
       const KernelTable& kernels, bool generate)
      : params_(params),
        weight_(weight),
        epilogue_(epilogue),
        kernels_(kernels),
        generate_(generate),
        kept_(weight.count - std::count(weight.values, weight.values + weight.count, 0.0f)),
        bias_(bias, bias + params.filters) {}

  void run(const Operands& o, Host& host) const override;

  size_t packed_bytes() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t bytes = 0;
    for (const auto& program : programs_) bytes += program->bytes();
    return bytes;
  }

 private:
  // One part of a run: blocks [first_block, last_block) over one strip of one image.
  struct Part {
    const float* x;         // what the units count from
    const float* residual;  // of the image, null: none
    float* y;               // of the image
    const Strip* strip;
    int64_t first_block, last_block;
    bool apart;  // see Host
  };

  // That a program may take, as far as tiles instead of code can help.
  size_t most_bytes() const {
    const int64_t all = params_.filters * params_.taps();
    const bool bounded = static_cast<double>(kept_) <= kMostBounded * static_cast<double>(all);
    if (!bounded) return std::numeric_limits<size_t>::max();
    return std::max<int64_t>(kUnbounded, all * sizeof(float));
  }
  bool is_single(const Operands& o) const;
  SparseRows rows() const;
  std::shared_ptr<const Program> program(const Operands& o, int64_t parts) const;
  std::shared_ptr<Program> make_program(const Operands& o, int64_t parts) const;
  void generate(Program& program, SparseRows& weight, const std::vector<int64_t>& offset,
                SpmmCodeOptions options) const;
  void run_tiles(const Program& program, const SparseTiles::Block& block, const Part& part,
                 int64_t y_stride) const;
  void compute(const Program& program, const Part& part, int64_t y_stride, float* partial) const;
  void run_dots(const Program& program, const Operands& o, Host& host) const;
  void run_strips(const Program& program, const Operands& o, Host& host, bool parallel) const;
  void run_blocks(const Program& program, const Operands& o, Host& host) const;

  ConvParams params_;
  Weight weight_;
  Epilogue epilogue_;
  const KernelTable& kernels_;
  bool generate_;
  int64_t kept_;
  std::vector<float> bias_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Program>> programs_;  // most recently used last
};

// Whether the output is one position that no padding touches.
bool Spmm::is_single(const Operands& o) const {
  const ConvParams& p = params_;
  return p.out_h(o.in_h) == 1 && p.out_w(o.in_w) == 1 && !p.pad_top && !p.pad_left &&
         !p.pad_bottom && !p.pad_right;
}

// The non-zero weights by output channel.
SparseRows Spmm::rows() const {
  const int64_t taps = params_.taps();
  const int64_t kernel = params_.kernel_h * params_.kernel_w;
  const int64_t group_rows = params_.filters / params_.groups;
  SparseRows rows;
  rows.rows = params_.filters;
  rows.row_start.assign(params_.filters + 1, 0);
  rows.tap.reserve(kept_);
  rows.value.reserve(kept_);
  for (int64_t i = 0; i < weight_.count; ++i) {
    if (weight_.values[i] == 0.0f) continue;
    const int64_t flat = weight_.indices ? weight_.indices[i] : i;
    const int64_t row = flat / taps;
    const int64_t first_channel = row / group_rows * params_.channels_per_group;
    rows.tap.push_back(static_cast<int32_t>(first_channel * kernel + flat % taps));
    rows.value.push_back(weight_.values[i]);
    ++rows.row_start[row + 1];
  }
  for (int64_t r = 0; r < rows.rows; ++r) rows.row_start[r + 1] += rows.row_start[r];
  return rows;
}

std::shared_ptr<const Program> Spmm::program(const Operands& o, int64_t parts) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  // Once more threads are seen, what was made for fewer is of no use.
  programs_.erase(std::remove_if(programs_.begin(), programs_.end(),
                                 [&](const auto& p) { return p->parts != parts; }),
                  programs_.end());
  const auto found = std::find_if(programs_.begin(), programs_.end(), [&](const auto& p) {
    return p->in_h == o.in_h && p->in_w == o.in_w && p->residual == (o.residual != nullptr);
  });
  if (found != programs_.end()) {
    std::rotate(found, found + 1, programs_.end());
    return programs_.back();
  }
  if (programs_.size() == kMostPrograms) programs_.erase(programs_.begin());
  programs_.push_back(make_program(o, parts));
  return programs_.back();
}

std::shared_ptr<Program> Spmm::make_program(const Operands& o, int64_t parts) const {
  auto program = std::make_shared<Program>();
  program->in_h = o.in_h;
  program->in_w = o.in_w;
  program->parts = parts;
  program->residual = o.residual != nullptr;
  const int64_t kernel = params_.kernel_h * params_.kernel_w;
  const int64_t taps = params_.channels() * kernel;
  std::vector<int64_t> offset(taps);
  if (is_single(o)) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t row = tap % kernel / params_.kernel_w * params_.dilation_h;
      offset[tap] =
          (tap / kernel * o.in_h + row) * o.in_w + tap % params_.kernel_w * params_.dilation_w;
    }
    program->single = true;
    program->dot.init(rows(), offset);
    return program;
  }
  const double reuse = static_cast<double>(kept_) / static_cast<double>(taps);
  const std::string error = program->packing.init(params_, o.in_h, o.in_w, reuse, parts);
  if (!error.empty()) throw std::length_error(error);
  for (int64_t tap = 0; tap < taps; ++tap) {
    const int64_t at = tap % kernel;
    offset[tap] =
        program->packing.tap_offset(tap / kernel, at / params_.kernel_w, at % params_.kernel_w);
  }
  const std::vector<Strip>& strips = program->packing.strips();
  int64_t fewest = strips.front().units;
  for (const Strip& strip : strips) {
    program->units += strip.units;
    fewest = std::min(fewest, strip.units);
  }
  SparseRows weight = rows();
  if (generate_) {
    SpmmCodeOptions options;
    options.epilogue = epilogue_;
    options.residual = program->residual;
    options.gaps = program->packing.has_gaps();
    options.y_stride = params_.out_h(o.in_h) * params_.out_w(o.in_w);
    options.units = fewest;
    options.most_multiplies = fewest >= kManyUnits ? kPieceMultiplies : int64_t{1} << 40;
    generate(*program, weight, offset, options);
  }
  if (!program->code) program->tiles = SparseTiles(weight, 0, offset);
  return program;
}

// Makes code of all rows; where that breaks the bound, of as many of the first rows as leave room
// for tiles of the others.
void Spmm::generate(Program& program, SparseRows& weight, const std::vector<int64_t>& offset,
                    SpmmCodeOptions options) const {
  const size_t most = most_bytes();
  double saved = 0.0;  // bytes that a row takes less as tiles than as code
  int64_t rows = weight.rows;
  while (rows > 0) {
    program.tiles = SparseTiles(weight, rows, offset);
    options.most_bytes = most - std::min(most, program.tiles.bytes());
    weight.rows = rows;
    const bool done =
        program.code.emplace().generate(kernels_.isa, weight, bias_.data(), offset, options);
    weight.rows = params_.filters;
    if (!done) break;
    if (program.bytes() <= most) {
      program.code->set_units(program.packing.units(), program.units);
      return;
    }
    if (rows == weight.rows) {
      const double tiles = static_cast<double>(SparseTiles(weight, 0, offset).bytes());
      const double code = static_cast<double>(program.bytes());
      saved = std::max(1.0, (code - tiles) / static_cast<double>(rows));
    }
    const double excess = static_cast<double>(program.bytes() - most) / saved;
    rows -= static_cast<int64_t>(std::ceil(excess / kTileRows)) * kTileRows;
  }
  program.code.reset();
}

void Spmm::run_tiles(const Program& program, const SparseTiles::Block& block, const Part& part,
                     int64_t y_stride) const {
  const Unit* units = program.packing.units() + part.strip->first_unit;
  const int64_t skipped = block.first_row * y_stride;
  SpmmTile tile = program.tiles.tile(block);
  tile.x = part.x;
  tile.bias = bias_.data() + block.first_row;
  tile.residual = part.residual ? part.residual + skipped : nullptr;
  tile.y = part.y + skipped;
  tile.y_stride = y_stride;
  tile.epilogue = epilogue_;
  // In equal turns: a single unit would keep too few sums going.
  const int64_t turns = (part.strip->units + kMostUnits - 1) / kMostUnits;
  for (int64_t t = 0; t < turns; ++t) {
    const int64_t first = t * part.strip->units / turns;
    tile.units = units + first;
    tile.count = (t + 1) * part.strip->units / turns - first;
    kernels_.spmm_tile(tile);
  }
}

void Spmm::compute(const Program& program, const Part& part, int64_t y_stride,
                   float* partial) const {
  const Strip& strip = *part.strip;
  const Unit* units = program.packing.units();
  // The curve follows while the outputs are in cache.
  const int64_t first = units[strip.first_unit].y;
  const int64_t last = strip.first_unit + strip.units == program.units
                           ? y_stride
                           : units[strip.first_unit + strip.units].y;
  const auto bend = [&](int64_t row, int64_t rows) {
    kernels_.curve(
        {epilogue_.curve, part.y + row * y_stride + first, rows, y_stride, last - first});
  };
  const int64_t code_blocks = program.code_blocks();
  for (int64_t b = part.first_block; b < part.last_block; ++b) {
    if (b < code_blocks) {
      const SpmmBlock& block = program.code->blocks()[b];
      const bool gives_up = part.apart && b + 1 < std::min(part.last_block, code_blocks);
      program.code->run(block, gives_up ? &block + 1 : nullptr, units, strip.first_unit,
                        strip.units, part.x, part.residual, part.y, partial);
      bend(block.first_row, block.rows);
    } else {
      const SparseTiles::Block& block = program.tiles.blocks()[b - code_blocks];
      run_tiles(program, block, part, y_stride);
      bend(block.first_row, block.rows);
    }
  }
}

void Spmm::run(const Operands& o, Host& host) const {
  if (o.batch == 0) return;
  const std::shared_ptr<const Program> kept = program(o, host.threads());
  const Program& program = *kept;
  if (program.single) return run_dots(program, o, host);
  // A unit takes as long whether it has one output or all.
  const double work = static_cast<double>(o.batch) * static_cast<double>(program.units) *
                      static_cast<double>(kUnit * kept_);
  const int64_t strips = o.batch * static_cast<int64_t>(program.packing.strips().size());
  if (host.threads() == 1 || work < kSmallWork) {
    run_strips(program, o, host, false);
  } else if (strips % host.threads() == 0 || strips > 4 * host.threads() || program.blocks() == 1) {
    run_strips(program, o, host, true);
  } else {
    run_blocks(program, o, host);
  }
}

// Every task computes some of the outputs.
void Spmm::run_dots(const Program& program, const Operands& o, Host& host) const {
  const int64_t filters = params_.filters;
  const bool parallel = static_cast<double>(kept_) > kSmallProducts;
  const int64_t tasks = parallel ? std::min<int64_t>(filters, 2 * host.threads()) : 1;
  const int64_t in_size = params_.channels() * o.in_h * o.in_w;
  // The output may lie where the residual is.
  float* sums = static_cast<float*>(host.scratch(filters * sizeof(float)));
  for (int64_t image = 0; image < o.batch; ++image) {
    host.parallel_for(tasks, [&](int64_t t) {
      const int64_t first = t * filters / tasks, last = (t + 1) * filters / tasks;
      std::copy(bias_.begin() + first, bias_.begin() + last, sums + first);
      program.dot.add_products(o.x + image * in_size, first, last, sums, kernels_);
      for (int64_t f = first; f < last; ++f) {
        const int64_t at = image * filters + f;
        const float sum = o.residual ? sums[f] + o.residual[at] : sums[f];
        const float value = sum >= 0.0f ? sum : sum * epilogue_.slope;
        const float raised = epilogue_.low > value ? epilogue_.low : value;
        o.y[at] = epilogue_.high < raised ? epilogue_.high : raised;
      }
      kernels_.curve({epilogue_.curve, o.y + image * filters + first, 1, 0, last - first});
    });
  }
}

// Every task packs a strip and computes all of its outputs.
void Spmm::run_strips(const Program& program, const Operands& o, Host& host, bool parallel) const {
  const Packing& packing = program.packing;
  const std::vector<Strip>& strips = packing.strips();
  const int64_t per_image = static_cast<int64_t>(strips.size());
  const int64_t count = o.batch * per_image;
  const int64_t in_size = params_.channels() * o.in_h * o.in_w;
  const int64_t y_stride = params_.out_h(o.in_h) * params_.out_w(o.in_w);
  int64_t longest = 0;
  for (const Strip& strip : strips) longest = std::max(longest, strip.units);
  const int64_t packed_floats = (packing.strip_floats() + kUnit - 1) / kUnit * kUnit;
  const int64_t partial_floats = longest * program.partial_floats();
  ScratchSlots slots(host, parallel ? std::min<int64_t>(host.threads(), count) : 1,
                     packed_floats + partial_floats);
  if (program.code) program.code->prefetch(program.code->blocks().front());
  const auto task = [&](int64_t index) {
    const ScratchSlots::Lease scratch(slots);
    const int64_t image = index / per_image;
    const Strip& strip = strips[index % per_image];
    const float* x = o.x + image * in_size;
    if (parallel && host.apart() && program.code) {
      program.code->give_up(program.code->blocks().front(), packing.units() + strip.first_unit,
                            strip.units, o.y + image * params_.filters * y_stride);
    }
    if (packing.layout() != Layout::in_place) {
      packing.pack(x, strip, 0, params_.channels(), scratch.data(), kernels_);
      x = scratch.data();
    }
    const int64_t at = image * params_.filters * y_stride;
    compute(program,
            {x, o.residual ? o.residual + at : nullptr, o.y + at, &strip, 0, program.blocks(),
             parallel && host.apart()},
            y_stride, scratch.data() + packed_floats);
  };
  if (parallel) {
    host.parallel_for(count, task);
  } else {
    for (int64_t index = 0; index < count; ++index) task(index);
  }
}

// Tasks share the packed input of an image, and each computes some of its output channels.
void Spmm::run_blocks(const Program& program, const Operands& o, Host& host) const {
  const Packing& packing = program.packing;
  const int64_t in_size = params_.channels() * o.in_h * o.in_w;
  const int64_t y_stride = params_.out_h(o.in_h) * params_.out_w(o.in_w);
  const int64_t total = program.blocks();
  const int64_t tasks = std::min<int64_t>(total, 2 * host.threads());
  const int64_t packers = std::min<int64_t>(params_.channels(), host.threads());
  int64_t longest = 0;
  for (const Strip& strip : packing.strips()) longest = std::max(longest, strip.units);
  float* packed = static_cast<float*>(host.scratch(packing.strip_floats() * sizeof(float)));
  ScratchSlots slots(host, std::min<int64_t>(tasks, host.threads()),
                     longest * program.partial_floats());
  for (int64_t image = 0; image < o.batch; ++image) {
    const int64_t at = image * params_.filters * y_stride;
    for (const Strip& strip : packing.strips()) {
      const float* x = o.x + image * in_size;
      if (packing.layout() != Layout::in_place) {
        host.parallel_for(packers, [&](int64_t p) {
          packing.pack(x, strip, p * params_.channels() / packers,
                       (p + 1) * params_.channels() / packers, packed, kernels_);
        });
        x = packed;
      }
      host.parallel_for(tasks, [&](int64_t t) {
        const ScratchSlots::Lease scratch(slots);
        const int64_t first = t * total / tasks;
        if (first < program.code_blocks()) program.code->prefetch(program.code->blocks()[first]);
        compute(program,
                {x, o.residual ? o.residual + at : nullptr, o.y + at, &strip, first,
                 (t + 1) * total / tasks, host.apart()},
                y_stride, scratch.data());
      });
    }
  }
}

std::unique_ptr<Conv> make(const ConvParams& params, const Weight& weight, const float* bias,
                           const Epilogue& epilogue, const KernelTable& kernels, bool generate,
                           std::string* error) {
  *error = check_params(params);
  if (error->empty()) *error = check_weight(params, weight);
  if (!error->empty()) return nullptr;
  return std::make_unique<Spmm>(params, weight, bias, epilogue, kernels, generate);
}

}  // namespace

std::unique_ptr<Conv> make_spmm(const ConvParams& params, const Weight& weight, const float* bias,
                                const Epilogue& epilogue, const KernelTable& kernels,
                                std::string* error) {
  return make(params, weight, bias, epilogue, kernels, true, error);
}

std::unique_ptr<Conv> make_spmm_tiles(const ConvParams& params, const Weight& weight,
                                      const float* bias, const Epilogue& epilogue,
                                      const KernelTable& kernels, std::string* error) {
  return make(params, weight, bias, epilogue, kernels, false, error);
}

}  // namespace sparsepass
