// y = A^T [ (G g G^T) * (B^T d B) ] A, summed over channels as one matrix product per position.
//
// A convolution with stride s is the sum of s * s convolutions with stride 1, one for each phase of
// the input rows and columns, whose kernels are s times smaller (Huang et al., arXiv 2002.00552).
// They share one output transform: phases are channels here.  Where a kernel lacks the last tap in
// some phases, as 7 x 7 with stride 2 does in all but the first, the weight there is zero at
// infinity, and these products are left out.
//
// The transform mixes the inputs of a tile: images with an infinity or NaN are computed anew as
// plain sums.
//
// A block of tiles at a time: its transformed input stays in the second-level cache, or near it,
// while passes of filters multiply it and transform their sums back.
//
// Limit: F(4 x 4) multiplies 36 times for 16 outputs where the plain sum does 144 times.  Per tile
// it adds 144 vector operations for each channel and 130 for each filter, divided by the lanes:
// with 64 channels and filters an eighth as many as the multiplications.  Every block reads the
// transformed weight, four times as large as the weight: 16 tiles need 4 bytes of it a cycle.  So
// blocks are larger even where their transformed input leaves the second-level cache.
#include "dense/winograd.h"

#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/arithmetic.h"
#include "base/cache_lines.h"
#include "conv/payload.h"
#include "conv/workers.h"
#include "dense/direct.h"
#include "dense/gemm.h"
#include "dense/winograd_grid.h"
#include "dense/winograd_variant.h"
#include "dense/winograd_weight.h"
#include "kernels/table.h"
#include "kernels/winograd_kernel.h"

namespace sparsepass {
namespace {

// The images of a batch in which something is not finite.
using Marks = std::vector<std::atomic<bool>>;

// What one task works on.
struct Block {
  const Operands& operands;
  Marks& marks;
  const WinogradGrid& grid;
  bool flushes;  // other caches may hold the outputs
  std::vector<WinogradBand> bands;
  int64_t group;
  int64_t tiles;
};

class Winograd : public Conv {
 public:
  Winograd(const WinogradLayer& layer, const Weight& weight, const float* bias,
           const Epilogue& epilogue, const KernelTable& kernels)
      : layer_(layer),
        epilogue_(epilogue),
        kernels_(kernels),
        weight_(layer_, weight.values),
        bias_(bias, bias + layer.params.filters),
        direct_(layer.params, weight, bias_, epilogue, kernels) {}
  void run(const Operands& operands, Host& host) const override;
  size_t packed_bytes() const override { return weight_.bytes() + direct_.packed_bytes(); }

 private:
  Block block(const Operands& operands, Marks& marks, const WinogradGrid& grid, bool flushes,
              int64_t index) const;
  // Floats between two positions of the transformed input and of the sums.
  int64_t input_stride(const WinogradGrid& grid) const;
  int64_t sums_stride(const WinogradGrid& grid) const;
  // Floats of memory that transform and multiply take.
  int64_t input_floats(const WinogradGrid& grid) const;
  int64_t sums_floats(const WinogradGrid& grid) const;
  void transform(const Block& block, int64_t first, int64_t last, float* rows, float* input) const;
  std::vector<WinogradOutput> outputs(const Block& block, int64_t pass, float* memory,
                                      const float* sums) const;
  void multiply(const Block& block, int64_t pass, const float* input, float* memory) const;
  void run_blocks(const Operands& operands, Marks& marks, const WinogradGrid& grid,
                  Host& host) const;
  void run_passes(const Operands& operands, Marks& marks, const WinogradGrid& grid,
                  Host& host) const;

  const WinogradLayer layer_;
  const Epilogue epilogue_;
  const KernelTable& kernels_;
  const WinogradWeight weight_;
  const std::vector<float> bias_;
  const Direct direct_;
};

Block Winograd::block(const Operands& operands, Marks& marks, const WinogradGrid& g, bool flushes,
                      int64_t index) const {
  Block block{operands,
              marks,
              g,
              flushes,
              g.bands(index / layer_.params.groups),
              index % layer_.params.groups,
              0};
  for (const WinogradBand& band : block.bands) block.tiles += band.tiles();
  return block;
}

// An odd number of cache lines: the positions of one tile fall into different cache sets.
int64_t Winograd::input_stride(const WinogradGrid& g) const {
  return round_up(layer_.channels * round_up(g.block_tiles(), layer_.lanes), 32) + 16;
}

int64_t Winograd::sums_stride(const WinogradGrid& g) const {
  return round_up(g.pass_filters * round_up(g.block_tiles(), layer_.lanes), 32) + 16;
}

int64_t Winograd::input_floats(const WinogradGrid& g) const {
  return layer_.variant.positions() * input_stride(g) + kGemmSlack;
}

int64_t Winograd::sums_floats(const WinogradGrid& g) const {
  return layer_.variant.positions() * sums_stride(g) + kGemmSlack;
}

void Winograd::transform(const Block& block, int64_t first, int64_t last, float* rows,
                         float* input) const {
  const Operands& o = block.operands;
  const int64_t step = layer_.variant.m * layer_.stride;
  WinogradInput job;
  job.in_h = o.in_h;
  job.in_w = o.in_w;
  job.channels = last - first;
  job.stride = layer_.stride;
  job.memory = rows;
  job.position_stride = input_stride(block.grid);
  job.channel_stride = round_up(block.tiles, layer_.lanes);
  job.row_phase_stride = layer_.params.channels_per_group * layer_.stride * job.channel_stride;
  job.out = input + first * layer_.stride * job.channel_stride;
  job.room = job.channel_stride;
  for (const WinogradBand& b : block.bands) {
    const int64_t channel =
        b.image * layer_.params.channels() + block.group * layer_.params.channels_per_group + first;
    job.x = o.x + channel * o.in_h * o.in_w;
    job.first_y = b.row * step - layer_.params.pad_top;
    job.first_x = b.first * step - layer_.params.pad_left;
    job.tile_rows = b.rows;
    job.row_tiles = b.row_tiles;
    job.room -= b.tiles();
    if (!(kernels_.*layer_.variant.input)(job)) block.marks[b.image] = true;
    job.out += b.tiles();
  }
}

// What becomes of the sums of a pass, for each band of the block.
std::vector<WinogradOutput> Winograd::outputs(const Block& block, int64_t pass, float* memory,
                                              const float* sums) const {
  const WinogradGrid& g = block.grid;
  const Operands& o = block.operands;
  const int64_t first = block.group * layer_.filters + pass * g.pass_filters;
  const int64_t m = layer_.variant.m;
  WinogradOutput job;
  job.sums = sums;
  job.position_stride = sums_stride(g);
  job.filter_stride = round_up(block.tiles, layer_.lanes);
  job.filters = std::min(g.pass_filters, layer_.filters - pass * g.pass_filters);
  job.out_w = g.out_w;
  job.plane_stride = g.out_h * g.out_w;
  job.bias = &bias_[first];
  job.epilogue = epilogue_;
  job.memory = memory;
  std::vector<WinogradOutput> jobs;
  for (const WinogradBand& b : block.bands) {
    job.tile_rows = fill_vectors(b.row_tiles, layer_.lanes) ? 1 : b.rows;
    job.row_tiles = b.row_tiles;
    job.columns = std::min(b.row_tiles * m, g.out_w - b.first * m);
    for (int64_t row = b.row; row < b.row + b.rows; row += job.tile_rows) {
      int64_t at = (b.image * layer_.params.filters + first) * job.plane_stride +
                   row * m * g.out_w + b.first * m;
      job.y = o.y + at;
      job.residual = o.residual == nullptr ? nullptr : o.residual + at;
      job.rows = std::min(job.tile_rows * m, g.out_h - row * m);
      jobs.push_back(job);
      job.sums += job.tile_rows * job.row_tiles;
    }
  }
  return jobs;
}

void Winograd::multiply(const Block& block, int64_t pass, const float* input, float* memory) const {
  float* sums = memory + block.grid.output_memory;
  const std::vector<WinogradOutput> jobs = outputs(block, pass, memory, sums);
  if (block.flushes) {
    for (const WinogradOutput& job : jobs) {
      flush_lines(job.y, job.filters, job.plane_stride, (job.rows - 1) * job.out_w + job.columns);
    }
  }
  const int64_t filters = jobs.front().filters;
  const int64_t columns = round_up(block.tiles, layer_.lanes);
  const int64_t phase_offset[] = {0, columns, 2 * columns, 3 * columns};
  const WinogradPass weight = weight_.pass(block.group, pass * block.grid.pass_filters);
  const GemmParts parts = best_gemm_parts(filters, block.tiles, layer_.channels, true, kernels_);
  GemmJob product = {};
  product.lanes = parts.lanes;
  product.window_offset = phase_offset;
  product.filters = filters;
  product.columns = parts.columns;
  product.out_stride = columns;
  for (int64_t position = 0; position < layer_.variant.positions(); ++position) {
    const WinogradDepth& depth = weight_.depths()[position];
    // Rows of all column phases lie behind each other.
    const int64_t together = depth.columns == layer_.stride ? layer_.stride : 1;
    product.panel_rows = depth.rows * together;
    product.panel_stride = layer_.stride / together * columns;
    product.window = depth.columns / together;
    product.weight = weight.at(depth);
    product.weight_stride = depth.size() * layer_.lanes;
    product.panel = input + position * input_stride(block.grid);
    product.out = sums + position * sums_stride(block.grid);
    sparsepass::multiply(product, parts.rest, kernels_);
  }
  for (const WinogradOutput& job : jobs) (kernels_.*layer_.variant.output)(job);
}

void Winograd::run(const Operands& operands, Host& host) const {
  if (operands.batch == 0) return;
  const WinogradGrid g = divide(layer_, operands, host.threads());
  Marks marks(operands.batch);
  if (g.shared) {
    run_passes(operands, marks, g, host);
  } else {
    run_blocks(operands, marks, g, host);
  }
  direct_.run(operands, marks, host);
}

void Winograd::run_blocks(const Operands& operands, Marks& marks, const WinogradGrid& g,
                          Host& host) const {
  const int64_t rows = g.input_memory, input = input_floats(g);
  const int64_t blocks = g.blocks * layer_.params.groups;
  const Workers workers(host, blocks, rows + input + g.output_memory + sums_floats(g));
  workers.run(blocks, [&](int64_t index, float* memory) {
    const Block block = this->block(operands, marks, g, !host.shares_cache(), index);
    transform(block, 0, layer_.params.channels_per_group, memory, memory + rows);
    for (int64_t pass = 0; pass < g.passes; ++pass) {
      multiply(block, pass, memory + rows, memory + rows + input);
    }
  });
}

// Threads share each block, first its channels, then its filters.
void Winograd::run_passes(const Operands& operands, Marks& marks, const WinogradGrid& g,
                          Host& host) const {
  float* input = static_cast<float*>(host.scratch(4 * input_floats(g)));
  const int64_t channels = layer_.params.channels_per_group;
  const int64_t parts = std::min<int64_t>(channels, 2 * host.threads());
  const Workers workers(host, std::max(parts, g.passes),
                        std::max(g.input_memory, g.output_memory + sums_floats(g)));
  for (int64_t index = 0; index < g.blocks * layer_.params.groups; ++index) {
    const Block block = this->block(operands, marks, g, !host.shares_cache(), index);
    workers.run(parts, [&](int64_t part, float* memory) {
      transform(block, channels * part / parts, channels * (part + 1) / parts, memory, input);
    });
    workers.run(g.passes, [&](int64_t pass, float* own) { multiply(block, pass, input, own); });
  }
}

std::unique_ptr<Conv> make(std::initializer_list<const WinogradVariant*> variants, const char* taps,
                           const ConvParams& params, const Weight& weight, const float* bias,
                           const Epilogue& epilogue, const KernelTable& kernels,
                           std::string* error) {
  *error = check_dense(params, weight);
  if (!error->empty()) return nullptr;
  const WinogradVariant* variant = variant_for(params, variants);
  if (variant == nullptr) {
    *error =
        "Winograd convolution needs dilation 1, a stride of 1, 2 or 4 in both directions and " +
        std::string(taps) + " taps of the kernel in each of its phases";
    return nullptr;
  }
  const WinogradLayer layer(*variant, params, kernels);
  return std::make_unique<Winograd>(layer, weight, bias, epilogue, kernels);
}

}  // namespace

std::unique_ptr<Conv> make_winograd2(const ConvParams& params, const Weight& weight,
                                     const float* bias, const Epilogue& epilogue,
                                     const KernelTable& kernels, std::string* error) {
  return make({&kF23}, "3x3", params, weight, bias, epilogue, kernels, error);
}

std::unique_ptr<Conv> make_winograd4(const ConvParams& params, const Weight& weight,
                                     const float* bias, const Epilogue& epilogue,
                                     const KernelTable& kernels, std::string* error) {
  return make({&kF42, &kF43, &kF44}, "2x2 or 3x3 or 4x4", params, weight, bias, epilogue, kernels,
              error);
}

}  // namespace sparsepass
