// y = A^T [ (G g G^T) * (B^T d B) ] A, summed over channels as one matrix product per position.
//
// A convolution with stride s is the sum of s * s convolutions with stride 1, one for each phase of
// the input rows and columns, whose kernels are s times smaller (Huang et al., arXiv 2002.00552).
// They share one output transform: phases are channels here.  Where a kernel lacks the last tap in
// some phases, as 7 x 7 with stride 2 does in all but the first, the weight there is zero at
// infinity, and these products are left out.
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
// 0, 3/4, -3/4, 3/2, -3/2 do, whose powers and products are exact in float as well.  So are those
// of 1/4, -1/4, 7/8, -7/8, 7/4, -7/4 for four taps, where 1/2, 1 and 2 double the error.
#include "dense/winograd.h"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/arithmetic.h"
#include "base/cache_lines.h"
#include "conv/curve.h"
#include "conv/parallel.h"
#include "conv/payload.h"
#include "dense/gemm.h"
#include "kernels/table.h"
#include "kernels/winograd_kernel.h"

namespace sparsepass {
namespace {

// Filters that are multiplied before their sums are transformed.  Where the transformed input
// leaves most of the cache to the sums, fewer at a time let more tiles take part.
constexpr int64_t kPassFilters = 32, kShortPassFilters = 16, kFewChannels = 64;

// Whole blocks go to the threads where at most one in so many turns is then idle.
constexpr int64_t kTurnsOfIdle = 8;

// F(m x m, taps x taps) by the finite interpolation points in the order of the kernels, and
// infinity.
struct Variant {
  int64_t m, taps;
  double points[6];
  WinogradInputKernel* KernelTable::* input;
  WinogradOutputKernel* KernelTable::* output;

  int64_t tile() const { return m + taps - 1; }
  int64_t positions() const { return tile() * tile(); }
  // Element (row, tap) of G: for the finite point p, p^tap over the product of p's distances to the
  // other points.
  double transform(int64_t row, int64_t tap) const;
};

double Variant::transform(int64_t row, int64_t tap) const {
  if (row == tile() - 1) return tap == taps - 1;
  double value = 1;
  for (int64_t i = 0; i < tap; ++i) value *= points[row];
  for (int64_t i = 0; i < tile() - 1; ++i) {
    if (i != row) value /= points[row] - points[i];
  }
  return value;
}

constexpr Variant kF23 = {
    2, 3, {0, 1, -1}, &KernelTable::winograd_f23_input, &KernelTable::winograd_f23_output};
constexpr Variant kF43 = {4,
                          3,
                          {0, 3. / 4, -3. / 4, 3. / 2, -3. / 2},
                          &KernelTable::winograd_f43_input,
                          &KernelTable::winograd_f43_output};
constexpr Variant kF44 = {4,
                          4,
                          {1. / 4, -1. / 4, 7. / 8, -7. / 8, 7. / 4, -7. / 4},
                          &KernelTable::winograd_f44_input,
                          &KernelTable::winograd_f44_output};

// The channels that one position multiplies: `columns` column phases of each of `rows` pairs of row
// phase and channel.  `before` counts those of the positions before it.
struct Depth {
  int64_t rows, columns, before;

  int64_t size() const { return rows * columns; }
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
  int64_t block_rows;             // tile rows in a block, or
  int64_t large, small_rows;      // in one of the first `large` block rows; in those behind
  int64_t blocks;

  int64_t block_tiles() const { return block_rows * part_tiles; }
  // The first tile row of a block row; `rows` past the last one.
  int64_t first_row(int64_t index) const {
    return std::min(rows, std::min(index, large) * block_rows +
                              std::max<int64_t>(0, index - large) * small_rows);
  }
};

// What one task works on.
struct Block {
  const Operands& operands;
  const Grid& grid;
  bool apart;  // see Host
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
  std::vector<Depth> depths() const;
  void pack(const float* weight);
  void take_phase(const float* weight, int64_t index, double* g) const;
  Grid divide(const Operands& operands, int64_t threads) const;
  int64_t block_rows(const Grid& grid, int64_t tiles) const;
  Block block(const Operands& operands, const Grid& grid, bool apart, int64_t index) const;
  // Floats between two positions of the transformed input and of the sums.
  int64_t input_stride(const Grid& grid) const;
  int64_t sums_stride(const Grid& grid) const;
  // Floats of memory that transform and multiply take.
  int64_t rows_floats(const Operands& operands, const Grid& grid) const;
  int64_t input_floats(const Grid& grid) const;
  int64_t sums_floats(const Grid& grid) const;
  void transform(const Block& block, int64_t first, int64_t last, float* rows, float* input) const;
  std::vector<WinogradOutput> outputs(const Block& block, int64_t pass, const float* sums) const;
  void multiply(const Block& block, int64_t pass, const float* input, float* sums) const;
  void run_blocks(const Operands& operands, const Grid& grid, Host& host) const;
  void run_passes(const Operands& operands, const Grid& grid, Host& host) const;

  const Variant& variant_;
  const ConvParams params_;
  const Epilogue epilogue_;
  const KernelTable& kernels_;
  const int64_t lanes_;
  const int64_t stride_;
  const int64_t channels_, filters_;  // of one group; every phase is a channel
  const std::vector<Depth> depths_;   // of the positions
  const int64_t total_depth_;
  const int64_t pass_filters_, passes_;
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
      stride_(params.stride_h),
      channels_(params.channels_per_group * stride_ * stride_),
      filters_(params.filters / params.groups),
      depths_(depths()),
      total_depth_(depths_.back().before + depths_.back().size()),
      pass_filters_(channels_ < kFewChannels ? kShortPassFilters : kPassFilters),
      passes_(divide_up(filters_, pass_filters_)),
      packed_floats_(product({params.groups, round_up(filters_, lanes_), total_depth_})),
      packed_(allocate_floats(packed_floats_)),
      bias_(bias, bias + params.filters) {
  pack(weight);
}

std::vector<Depth> Winograd::depths() const {
  const int64_t tile = variant_.tile(), last_tap = (variant_.taps - 1) * stride_;
  std::vector<Depth> all;
  int64_t before = 0;
  for (int64_t position = 0; position < variant_.positions(); ++position) {
    bool last_row = position / tile == tile - 1, last_column = position % tile == tile - 1;
    Depth depth;
    depth.rows = params_.channels_per_group * (last_row ? params_.kernel_h - last_tap : stride_);
    depth.columns = last_column ? params_.kernel_w - last_tap : stride_;
    depth.before = before;
    before += depth.size();
    all.push_back(depth);
  }
  return all;
}

void Winograd::pack(const float* weight) {
  const int64_t tile = variant_.tile(), positions = variant_.positions(), taps = variant_.taps;
  std::vector<double> transform(tile * taps);
  for (int64_t i = 0; i < tile * taps; ++i) transform[i] = variant_.transform(i / taps, i % taps);
  std::vector<float> transformed(pass_filters_ * channels_ * positions);
  std::vector<double> g(taps * taps);
  float* packed = packed_.get();
  for (int64_t task = 0; task < params_.groups * passes_; ++task) {
    int64_t first = task / passes_ * filters_ + task % passes_ * pass_filters_;
    int64_t filters = std::min(pass_filters_, filters_ - task % passes_ * pass_filters_);
    for (int64_t i = 0; i < filters * channels_; ++i) {
      take_phase(weight, first * channels_ + i, g.data());
      for (int64_t position = 0; position < positions; ++position) {
        const double* row = &transform[position / tile * taps];
        const double* column = &transform[position % tile * taps];
        double sum = 0;
        for (int64_t k = 0; k < taps * taps; ++k) sum += row[k / taps] * g[k] * column[k % taps];
        transformed[position * filters * channels_ + i] = static_cast<float>(sum);
      }
    }
    for (int64_t position = 0; position < positions; ++position) {
      const Depth& depth = depths_[position];
      const auto channel = [&](int64_t d) {
        return d / depth.columns * stride_ + d % depth.columns;
      };
      pack_gemm_weight(&transformed[position * filters * channels_], filters, channels_,
                       depth.size(), channel, lanes_, packed);
      packed += round_up(filters, lanes_) * depth.size();
    }
  }
}

// The taps of the kernel that meet one phase; `index` counts (filter, row phase, channel, column
// phase).
void Winograd::take_phase(const float* weight, int64_t index, double* g) const {
  const int64_t taps = variant_.taps, kernel_h = params_.kernel_h, kernel_w = params_.kernel_w;
  const int64_t channels = params_.channels_per_group;
  const int64_t filter = index / channels_, channel = index / stride_ % channels;
  const int64_t row_phase = index % channels_ / stride_ / channels;
  const float* kernel = weight + (filter * channels + channel) * kernel_h * kernel_w;
  for (int64_t k = 0; k < taps * taps; ++k) {
    int64_t y = k / taps * stride_ + row_phase, x = k % taps * stride_ + index % stride_;
    g[k] = y < kernel_h && x < kernel_w ? kernel[y * kernel_w + x] : 0;
  }
}

Grid Winograd::divide(const Operands& operands, int64_t threads) const {
  Grid g;
  g.out_h = params_.out_h(operands.in_h);
  g.out_w = params_.out_w(operands.in_w);
  g.image_rows = divide_up(g.out_h, variant_.m);
  g.rows = g.image_rows * operands.batch;
  g.row_tiles = divide_up(g.out_w, variant_.m);
  // The transformed input of a block takes three quarters of the cache, or with few channels the
  // sums of a pass as well.
  int64_t depth = channels_ + (channels_ < kFewChannels ? pass_filters_ : 0);
  int64_t tiles = second_level_cache() * 3 / 4 / (variant_.positions() * depth * 4);
  tiles = std::max(tiles / lanes_ * lanes_, 2 * lanes_);
  g.part_tiles = g.row_tiles;
  if (g.row_tiles > tiles) {
    g.part_tiles = round_up(divide_up(g.row_tiles, divide_up(g.row_tiles, tiles)), lanes_);
  }
  g.row_parts = divide_up(g.row_tiles, g.part_tiles);
  g.block_rows = block_rows(g, tiles);
  g.large = divide_up(g.rows, g.block_rows);
  g.small_rows = 0;
  if (g.row_parts * params_.groups == 1 && g.large > threads && g.large % threads != 0) {
    // What would leave threads idle at the end, all of them share.
    g.large -= g.large % threads;
    const int64_t rest = g.rows - g.large * g.block_rows;
    g.small_rows = divide_up(rest, threads);
    g.blocks = g.large + divide_up(rest, g.small_rows);
  } else {
    g.blocks = g.large * g.row_parts;
  }
  return g;
}

// Tile rows of at most `tiles` tiles: as few blocks as possible, or the fewest idle lanes.
int64_t Winograd::block_rows(const Grid& g, int64_t tiles) const {
  const int64_t most = std::clamp<int64_t>(tiles / g.row_tiles, 1, g.rows);
  int64_t best = divide_up(g.rows, divide_up(g.rows, most));
  auto vectors = [&](int64_t rows) {
    int64_t whole = g.rows / rows, rest = g.rows % rows;
    return whole * divide_up(rows * g.row_tiles, lanes_) + divide_up(rest * g.row_tiles, lanes_);
  };
  for (int64_t rows = most; rows >= 1 && 2 * rows > most; --rows) {
    if (vectors(rows) < vectors(best)) best = rows;
  }
  return best;
}

Block Winograd::block(const Operands& operands, const Grid& g, bool apart, int64_t index) const {
  Block block{operands, g, apart, {}, index % params_.groups, 0};
  index /= params_.groups;
  int64_t first = index % g.row_parts * g.part_tiles;
  int64_t row = g.first_row(index / g.row_parts);
  for (int64_t last = g.first_row(index / g.row_parts + 1); row < last; ++row) {
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
  return round_up(pass_filters_ * round_up(g.block_tiles(), lanes_), 32) + 16;
}

int64_t Winograd::rows_floats(const Operands& operands, const Grid& g) const {
  int64_t row = winograd_row_floats(variant_.m * stride_, g.part_tiles);
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
  job.stride = stride_;
  job.row_stride = winograd_row_floats(variant_.m * stride_, block.grid.part_tiles);
  job.rows = rows;
  job.zeros = rows + variant_.tile() * job.row_stride;
  job.position_stride = input_stride(block.grid);
  job.channel_stride = round_up(block.tiles, lanes_);
  job.row_phase_stride = params_.channels_per_group * stride_ * job.channel_stride;
  job.out = input + first * stride_ * job.channel_stride;
  std::fill_n(rows + variant_.tile() * job.row_stride, o.in_w, 0.0f);
  for (const Segment& s : block.segments) {
    int64_t channel =
        s.image * params_.channels() + block.group * params_.channels_per_group + first;
    job.x = o.x + channel * o.in_h * o.in_w;
    job.first_y = s.row * variant_.m * stride_ - params_.pad_top;
    job.first_x = s.first * variant_.m * stride_ - params_.pad_left;
    job.tiles = s.tiles;
    (kernels_.*variant_.input)(job);
    job.out += s.tiles;
  }
}

// What becomes of the sums of a pass, for each segment of the block.
std::vector<WinogradOutput> Winograd::outputs(const Block& block, int64_t pass,
                                              const float* sums) const {
  const Grid& g = block.grid;
  const Operands& o = block.operands;
  const int64_t first = block.group * filters_ + pass * pass_filters_;
  WinogradOutput job;
  job.sums = sums;
  job.position_stride = sums_stride(g);
  job.filter_stride = round_up(block.tiles, lanes_);
  job.filters = std::min(pass_filters_, filters_ - pass * pass_filters_);
  job.out_w = g.out_w;
  job.plane_stride = g.out_h * g.out_w;
  job.bias = &bias_[first];
  job.epilogue = epilogue_;
  std::vector<WinogradOutput> jobs;
  for (const Segment& s : block.segments) {
    int64_t at = (s.image * params_.filters + first) * job.plane_stride +
                 s.row * variant_.m * g.out_w + s.first * variant_.m;
    job.y = o.y + at;
    job.residual = o.residual == nullptr ? nullptr : o.residual + at;
    job.tiles = s.tiles;
    job.rows = std::min(variant_.m, g.out_h - s.row * variant_.m);
    job.columns = std::min(s.tiles * variant_.m, g.out_w - s.first * variant_.m);
    jobs.push_back(job);
    job.sums += s.tiles;
  }
  return jobs;
}

void Winograd::multiply(const Block& block, int64_t pass, const float* input, float* sums) const {
  const std::vector<WinogradOutput> jobs = outputs(block, pass, sums);
  if (block.apart) {
    for (const WinogradOutput& job : jobs) {
      give_up_lines(job.y, job.filters, job.plane_stride, (job.rows - 1) * job.out_w + job.columns);
    }
  }
  const int64_t filters = jobs.front().filters, padded = round_up(filters, lanes_);
  const int64_t columns = round_up(block.tiles, lanes_);
  const int64_t phase_offset[] = {0, columns, 2 * columns, 3 * columns};
  const float* weight =
      packed_.get() +
      (block.group * round_up(filters_, lanes_) + pass * pass_filters_) * total_depth_;
  GemmJob product = {};
  product.lanes = best_gemm_lanes(filters, block.tiles, channels_, lanes_);
  product.panel_stride = stride_ * columns;
  product.window_offset = phase_offset;
  product.filters = filters;
  // Whole vectors are stored without masks; what lies past the tiles is not read again.
  product.columns = product.lanes == GemmLanes::columns ? columns : block.tiles;
  product.out_stride = columns;
  for (int64_t position = 0; position < variant_.positions(); ++position) {
    const Depth& depth = depths_[position];
    product.panel_rows = depth.rows;
    product.window = depth.columns;
    product.weight = weight + depth.before * padded;
    product.weight_stride = depth.size() * lanes_;
    product.panel = input + position * input_stride(block.grid);
    product.out = sums + position * sums_stride(block.grid);
    kernels_.gemm(product);
  }
  for (const WinogradOutput& job : jobs) (kernels_.*variant_.output)(job);
}

void Winograd::run(const Operands& operands, Host& host) const {
  if (operands.batch == 0) return;
  const Grid g = divide(operands, host.threads());
  const int64_t tasks = g.blocks * params_.groups;
  const int64_t turns = round_up(tasks, host.threads());
  if (turns - tasks <= turns / kTurnsOfIdle) {
    run_blocks(operands, g, host);
  } else {
    run_passes(operands, g, host);
  }
}

void Winograd::run_blocks(const Operands& operands, const Grid& g, Host& host) const {
  const int64_t rows = rows_floats(operands, g), input = input_floats(g), sums = sums_floats(g);
  share_out(host, g.blocks * params_.groups, 4 * (rows + input + sums),
            [&](int64_t index, float* memory) {
              const Block block = this->block(operands, g, host.apart(), index);
              transform(block, 0, params_.channels_per_group, memory, memory + rows);
              for (int64_t pass = 0; pass < passes_; ++pass) {
                multiply(block, pass, memory + rows, memory + rows + input);
              }
            });
}

// Too few blocks for the threads: they share each block, first its channels, then its filters.
void Winograd::run_passes(const Operands& operands, const Grid& g, Host& host) const {
  float* input = static_cast<float*>(host.scratch(4 * input_floats(g)));
  const int64_t channels = params_.channels_per_group;
  const int64_t parts = std::min<int64_t>(channels, 2 * host.threads());
  for (int64_t index = 0; index < g.blocks * params_.groups; ++index) {
    const Block block = this->block(operands, g, host.apart(), index);
    share_out(host, parts, 4 * rows_floats(operands, g), [&](int64_t part, float* memory) {
      transform(block, channels * part / parts, channels * (part + 1) / parts, memory, input);
    });
    share_out(host, passes_, 4 * sums_floats(g),
              [&](int64_t pass, float* memory) { multiply(block, pass, input, memory); });
  }
}

// The variant among `variants` for the taps that a phase of the kernel has; null where none fits.
// The shape has been checked.
const Variant* variant_for(const ConvParams& p, std::initializer_list<const Variant*> variants) {
  const int64_t stride = p.stride_h;
  if (stride != 1 && stride != 2 && stride != 4) return nullptr;
  if (p.stride_w != stride || p.dilation_h != 1 || p.dilation_w != 1) return nullptr;
  const int64_t taps = divide_up(p.kernel_h, stride);
  if (divide_up(p.kernel_w, stride) != taps) return nullptr;
  for (const Variant* variant : variants) {
    if (variant->taps == taps) return variant;
  }
  return nullptr;
}

std::unique_ptr<Conv> make(std::initializer_list<const Variant*> variants, const char* taps,
                           const ConvParams& params, const Weight& weight, const float* bias,
                           const Epilogue& epilogue, const KernelTable& kernels,
                           std::string* error) {
  *error = check_dense(params, weight);
  if (!error->empty()) return nullptr;
  const Variant* variant = variant_for(params, variants);
  if (variant == nullptr) {
    *error =
        "Winograd convolution needs dilation 1, a stride of 1, 2 or 4 in both directions and " +
        std::string(taps) + " taps of the kernel in each of its phases";
    return nullptr;
  }
  return with_curve(
      std::make_unique<Winograd>(*variant, params, weight.values, bias, epilogue, kernels), params,
      epilogue, kernels);
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
  return make({&kF43, &kF44}, "3x3 or 4x4", params, weight, bias, epilogue, kernels, error);
}

}  // namespace sparsepass
