// y = A^T [ (G g G^T) * (B^T d B) ] A, summed over channels as one matrix product per position.
//
// A block of tiles at a time: its transformed input stays in the second-level cache while passes of
// filters multiply it and transform their sums back.
//
// Limit: F(4 x 4) multiplies 36 times for 16 outputs where the plain sum does 144 times.  Per tile
// it adds 144 vector operations for each channel and 130 for each filter, divided by the lanes:
// with 64 channels and filters an eighth as many as the multiplications.  Where a map has few
// tiles, reading the transformed weight, four times as large as the weight, takes longer than
// multiplying.
//
// Error of an output over the standard deviation of the outputs, rectified normal input, weight
// with variance 2 / (9 channels), against a sum in double precision, largest and mean:
//
//   channels   plain sum in float    F(2 x 2)            F(4 x 4)
//   64         4.2e-6  2.1e-7        1.3e-6  1.7e-7      4.6e-6  4.8e-7
//   512        7.8e-6  5.8e-7        3.3e-6  4.5e-7      1.5e-5  1.3e-6
//
// The usual points 0, 1, -1, 2, -2 make the largest error of F(4 x 4) four times as large as
// 0, 3/4, -3/4, 3/2, -3/2 do, whose powers and products are exact in float as well.
#include "winograd.h"

#include <algorithm>
#include <vector>

#include "gemm.h"
#include "kernels.h"
#include "winograd_kernel.h"

namespace sparsepass {
namespace {

constexpr int64_t kPassFilters = 32;

// F(m x m, 3 x 3): `transform` is G, positions (m + 2) by 3.
struct Variant {
  int64_t m;
  double transform[6][3];
  WinogradInputKernel* KernelTable::*input;
  WinogradOutputKernel* KernelTable::*output;

  int64_t tile() const { return m + 2; }
  int64_t positions() const { return tile() * tile(); }
};

constexpr Variant kVariant2 = {
    2,
    {{-1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}},
    &KernelTable::winograd2_input,
    &KernelTable::winograd2_output,
};

// Row p of G for the finite point p: (1, p, p^2) over the product of its distances to the others.
constexpr Variant kVariant4 = {
    4,
    {{64. / 81, 0, 0},
     {-128. / 243, -32. / 81, -8. / 27},
     {-128. / 243, 32. / 81, -8. / 27},
     {32. / 243, 16. / 81, 8. / 27},
     {32. / 243, -16. / 81, 8. / 27},
     {0, 0, 1}},
    &KernelTable::winograd4_input,
    &KernelTable::winograd4_output,
};

// Neighbouring tiles of one tile row of one image.
struct Segment {
  int64_t image, row, first, tiles;
};

// How a run divides the tiles of a batch into blocks.  Tile rows are numbered through the batch.
struct Grid {
  int64_t out_h, out_w;
  int64_t image_rows, rows;       // tile rows in an image, in the batch
  int64_t row_tiles, part_tiles;  // tiles in a tile row, at most in the part that a block takes
  int64_t row_parts;              // blocks that share a tile row
  int64_t block_rows;             // tile rows in a block
  int64_t blocks;

  int64_t block_tiles() const { return block_rows * part_tiles; }
};

// What one task works on.
struct Block {
  const Operands& operands;
  const Grid& grid;
  std::vector<Segment> segments;
  int64_t group;
  int64_t tiles;
};

class Winograd : public Conv {
 public:
  Winograd(const Variant& variant, const ConvParams& params, const float* weight, const float* bias,
           const Epilogue& epilogue, const KernelTable& kernels);
  void run(const Operands& operands, Host& host) const override;
  size_t packed_bytes() const override { return packed_floats_ * sizeof(float); }

 private:
  void pack(const float* weight);
  Grid divide(const Operands& operands) const;
  Block block(const Operands& operands, const Grid& grid, int64_t index) const;
  // Floats between two positions of the transformed input and of the sums.
  int64_t input_stride(const Grid& grid) const;
  int64_t sums_stride(const Grid& grid) const;
  // Floats of memory that transform and multiply take.
  int64_t rows_floats(const Operands& operands, const Grid& grid) const;
  int64_t input_floats(const Grid& grid) const;
  int64_t sums_floats(const Grid& grid) const;
  void transform(const Block& block, int64_t first, int64_t last, float* rows, float* input) const;
  void multiply(const Block& block, int64_t pass, const float* input, float* sums) const;
  void run_blocks(const Operands& operands, const Grid& grid, Host& host) const;
  void run_passes(const Operands& operands, const Grid& grid, Host& host) const;

  const Variant& variant_;
  const ConvParams params_;
  const Epilogue epilogue_;
  const KernelTable& kernels_;
  const int64_t lanes_, channels_, filters_;  // channels and filters of one group
  const int64_t passes_;
  const int64_t packed_floats_;
  const AlignedFloats packed_;  // (group, pass, position, block of lanes, channel, lane)
  const std::vector<float> bias_;
};

Winograd::Winograd(const Variant& variant, const ConvParams& params, const float* weight,
                   const float* bias, const Epilogue& epilogue, const KernelTable& kernels)
    : variant_(variant),
      params_(params),
      epilogue_(epilogue),
      kernels_(kernels),
      lanes_(kernels.gemm_lanes()),
      channels_(params.channels_per_group),
      filters_(params.filters / params.groups),
      passes_(divide_up(filters_, kPassFilters)),
      packed_floats_(product({params.groups, round_up(filters_, lanes_), channels_,
                              variant.positions()})),
      packed_(allocate_floats(packed_floats_)),
      bias_(bias, bias + params.filters) {
  pack(weight);
}

void Winograd::pack(const float* weight) {
  int64_t tile = variant_.tile(), positions = variant_.positions();
  std::vector<float> transformed(kPassFilters * channels_ * positions);
  float* packed = packed_.get();
  for (int64_t task = 0; task < params_.groups * passes_; ++task) {
    int64_t first = task / passes_ * filters_ + task % passes_ * kPassFilters;
    int64_t filters = std::min(kPassFilters, filters_ - task % passes_ * kPassFilters);
    for (int64_t i = 0; i < filters * channels_; ++i) {
      const float* g = weight + (first * channels_ + i) * 9;
      for (int64_t position = 0; position < positions; ++position) {
        const double* row = variant_.transform[position / tile];
        const double* column = variant_.transform[position % tile];
        double sum = 0;
        for (int k = 0; k < 9; ++k) sum += row[k / 3] * g[k] * column[k % 3];
        transformed[position * filters * channels_ + i] = static_cast<float>(sum);
      }
    }
    for (int64_t position = 0; position < positions; ++position) {
      pack_gemm_weight(&transformed[position * filters * channels_], filters, channels_, channels_,
                       [](int64_t d) { return d; }, lanes_, packed);
      packed += round_up(filters, lanes_) * channels_;
    }
  }
}

Grid Winograd::divide(const Operands& operands) const {
  Grid g;
  g.out_h = params_.out_h(operands.in_h);
  g.out_w = params_.out_w(operands.in_w);
  g.image_rows = divide_up(g.out_h, variant_.m);
  g.rows = g.image_rows * operands.batch;
  g.row_tiles = divide_up(g.out_w, variant_.m);
  // The transformed input of a block takes three quarters of the cache.
  int64_t tiles = second_level_cache() * 3 / 4 / (variant_.positions() * channels_ * 4);
  tiles = std::max(tiles / lanes_ * lanes_, 2 * lanes_);
  g.part_tiles = g.row_tiles;
  if (g.row_tiles > tiles) {
    g.part_tiles = round_up(divide_up(g.row_tiles, divide_up(g.row_tiles, tiles)), lanes_);
  }
  g.row_parts = divide_up(g.row_tiles, g.part_tiles);
  int64_t row_blocks = divide_up(g.rows, std::max<int64_t>(1, tiles / g.row_tiles));
  g.block_rows = divide_up(g.rows, row_blocks);
  g.blocks = divide_up(g.rows, g.block_rows) * g.row_parts;
  return g;
}

Block Winograd::block(const Operands& operands, const Grid& g, int64_t index) const {
  Block block{operands, g, {}, index % params_.groups, 0};
  index /= params_.groups;
  int64_t first = index % g.row_parts * g.part_tiles;
  int64_t row = index / g.row_parts * g.block_rows;
  for (int64_t last = std::min(g.rows, row + g.block_rows); row < last; ++row) {
    int64_t tiles = std::min(g.part_tiles, g.row_tiles - first);
    block.segments.push_back({row / g.image_rows, row % g.image_rows, first, tiles});
    block.tiles += tiles;
  }
  return block;
}

// An odd number of cache lines: the positions of one tile fall into different cache sets.
int64_t Winograd::input_stride(const Grid& g) const {
  return round_up(channels_ * round_up(g.block_tiles(), lanes_), 32) + 16;
}

int64_t Winograd::sums_stride(const Grid& g) const {
  return round_up(kPassFilters * round_up(g.block_tiles(), lanes_), 32) + 16;
}

int64_t Winograd::rows_floats(const Operands& operands, const Grid& g) const {
  int64_t row = winograd_row_floats(variant_.m, g.part_tiles);
  return round_up(variant_.tile() * row + operands.in_w, 16);
}

int64_t Winograd::input_floats(const Grid& g) const {
  return variant_.positions() * input_stride(g) + kGemmSlack;
}

int64_t Winograd::sums_floats(const Grid& g) const {
  return variant_.positions() * sums_stride(g) + kGemmSlack;
}

void Winograd::transform(const Block& block, int64_t first, int64_t last, float* rows,
                         float* input) const {
  const Operands& o = block.operands;
  WinogradInput job;
  job.in_h = o.in_h;
  job.in_w = o.in_w;
  job.channels = last - first;
  job.row_stride = winograd_row_floats(variant_.m, block.grid.part_tiles);
  job.rows = rows;
  job.zeros = rows + variant_.tile() * job.row_stride;
  job.position_stride = input_stride(block.grid);
  job.channel_stride = round_up(block.tiles, lanes_);
  job.out = input + first * job.channel_stride;
  std::fill_n(rows + variant_.tile() * job.row_stride, o.in_w, 0.0f);
  for (const Segment& s : block.segments) {
    int64_t channel = s.image * params_.channels() + block.group * channels_ + first;
    job.x = o.x + channel * o.in_h * o.in_w;
    job.first_y = s.row * variant_.m - params_.pad_top;
    job.first_x = s.first * variant_.m - params_.pad_left;
    job.tiles = s.tiles;
    (kernels_.*variant_.input)(job);
    job.out += s.tiles;
  }
}

void Winograd::multiply(const Block& block, int64_t pass, const float* input, float* sums) const {
  const int64_t filters = std::min(kPassFilters, filters_ - pass * kPassFilters);
  const int64_t padded = round_up(filters, lanes_), no_offset = 0;
  const int64_t group_floats = round_up(filters_, lanes_) * channels_ * variant_.positions();
  const float* weight = packed_.get() + block.group * group_floats +
                        pass * kPassFilters * channels_ * variant_.positions();
  GemmJob product = {};
  product.lanes = best_gemm_lanes(filters, block.tiles, channels_, lanes_);
  product.weight_stride = channels_ * lanes_;
  product.panel_rows = channels_;
  product.panel_stride = round_up(block.tiles, lanes_);
  product.window_offset = &no_offset;
  product.window = 1;
  product.filters = filters;
  product.columns = block.tiles;
  product.out_stride = product.panel_stride;
  for (int64_t position = 0; position < variant_.positions(); ++position) {
    product.weight = weight + position * padded * channels_;
    product.panel = input + position * input_stride(block.grid);
    product.out = sums + position * sums_stride(block.grid);
    kernels_.gemm(product);
  }

  const Grid& g = block.grid;
  const int64_t first = block.group * filters_ + pass * kPassFilters;
  WinogradOutput job;
  job.sums = sums;
  job.position_stride = sums_stride(g);
  job.filter_stride = product.out_stride;
  job.filters = filters;
  job.out_w = g.out_w;
  job.plane_stride = g.out_h * g.out_w;
  job.bias = &bias_[first];
  job.epilogue = epilogue_;
  for (const Segment& s : block.segments) {
    int64_t at = (s.image * params_.filters + first) * job.plane_stride +
                 s.row * variant_.m * g.out_w + s.first * variant_.m;
    job.y = block.operands.y + at;
    job.residual = block.operands.residual == nullptr ? nullptr : block.operands.residual + at;
    job.tiles = s.tiles;
    job.rows = std::min(variant_.m, g.out_h - s.row * variant_.m);
    job.columns = std::min(s.tiles * variant_.m, g.out_w - s.first * variant_.m);
    (kernels_.*variant_.output)(job);
    job.sums += s.tiles;
  }
}

void Winograd::run(const Operands& operands, Host& host) const {
  if (operands.batch == 0) return;
  const Grid g = divide(operands);
  if (g.blocks * params_.groups >= 4 * host.threads() || host.threads() == 1) {
    run_blocks(operands, g, host);
  } else {
    run_passes(operands, g, host);
  }
}

void Winograd::run_blocks(const Operands& operands, const Grid& g, Host& host) const {
  const int64_t rows = rows_floats(operands, g), input = input_floats(g), sums = sums_floats(g);
  share_out(host, g.blocks * params_.groups, 4 * (rows + input + sums),
            [&](int64_t index, float* memory) {
              const Block block = this->block(operands, g, index);
              transform(block, 0, channels_, memory, memory + rows);
              for (int64_t pass = 0; pass < passes_; ++pass) {
                multiply(block, pass, memory + rows, memory + rows + input);
              }
            });
}

// Too few blocks for the threads: they share each block, first its channels, then its filters.
void Winograd::run_passes(const Operands& operands, const Grid& g, Host& host) const {
  float* input = static_cast<float*>(host.scratch(4 * input_floats(g)));
  const int64_t parts = std::min<int64_t>(channels_, 2 * host.threads());
  for (int64_t index = 0; index < g.blocks * params_.groups; ++index) {
    const Block block = this->block(operands, g, index);
    share_out(host, parts, 4 * rows_floats(operands, g), [&](int64_t part, float* memory) {
      transform(block, channels_ * part / parts, channels_ * (part + 1) / parts, memory, input);
    });
    share_out(host, passes_, 4 * sums_floats(g), [&](int64_t pass, float* memory) {
      multiply(block, pass, input, memory);
    });
  }
}

std::unique_ptr<Conv> make(const Variant& variant, const ConvParams& params, const Weight& weight,
                           const float* bias, const Epilogue& epilogue, const KernelTable& kernels,
                           std::string* error) {
  *error = check_dense(params, weight);
  if (!error->empty()) return nullptr;
  if (params.kernel_h != 3 || params.kernel_w != 3 || params.stride_h != 1 ||
      params.stride_w != 1 || params.dilation_h != 1 || params.dilation_w != 1) {
    *error = "Winograd convolution needs a 3x3 kernel with stride 1 and dilation 1";
    return nullptr;
  }
  return std::make_unique<Winograd>(variant, params, weight.values, bias, epilogue, kernels);
}

}  // namespace

std::unique_ptr<Conv> make_winograd2(const ConvParams& params, const Weight& weight,
                                     const float* bias, const Epilogue& epilogue,
                                     const KernelTable& kernels, std::string* error) {
  return make(kVariant2, params, weight, bias, epilogue, kernels, error);
}

std::unique_ptr<Conv> make_winograd4(const ConvParams& params, const Weight& weight,
                                     const float* bias, const Epilogue& epilogue,
                                     const KernelTable& kernels, std::string* error) {
  return make(kVariant4, params, weight, bias, epilogue, kernels, error);
}

}  // namespace sparsepass
