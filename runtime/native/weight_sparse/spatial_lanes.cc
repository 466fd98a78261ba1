// Lanes as tiles of the map: every tap of every output is a whole vector, without shifted copies.
#include <algorithm>
#include <numeric>

#include "base/arithmetic.h"
#include "weight_sparse/lane_packing.h"
#include "weight_sparse/phases.h"

namespace sparsepass {
namespace {

// Outputs of a lane in the windows that many sizes share, in both directions.
constexpr int64_t kSharedTiles[] = {1, 2, 4, 7, 14};

// How a map is cut: into strips of rows, or windows; these into the tiles of lanes, these into
// blocks.
struct Cut {
  int64_t strips, strip_h, strip_w;
  LaneGrid grid;
  int64_t block_h, block_w;
};

class SpatialLanes : public LanePacking {
 public:
  SpatialLanes(const SpmmSize& size, const LaneShapePrice* price)
      : LanePacking(size.layer.params.out_w(size.in_w)),
        params_(size.layer.params),
        in_size_(size.in_h * size.in_w),
        out_h_(params_.out_h(size.in_h)),
        lanes_(size.layer.kernels.gemm_lanes()),
        phases_(params_, size.in_h, size.in_w),
        cut_(price ? best_windows(size, *price) : best_cut(size)),
        rows_(cut_.grid.tile_h + phases_.extra_rows()),
        columns_(cut_.grid.tile_w + phases_.extra_columns()),
        row_step_(lanes_are_columns() ? 1 : columns_),
        column_step_(lanes_are_columns() ? rows_ : 1) {
    shape_ = shape(cut_);
    cycles_ = time(LaneCost(size), cut_);
    add_strips();
    for (int64_t row = 0; row < params_.kernel_h; ++row) {
      for (int64_t column = 0; column < params_.kernel_w; ++column) {
        const Phases::Place place = phases_.place(row, column);
        distances_.push_back((place.phase * rows_ * columns_ + vector_at(place.row, place.column)) *
                             lanes_);
      }
    }
    reads_ = reads(cut_);
    const int64_t lane_rows = lanes_ / cut_.grid.lane_columns;
    plane_rows_ = lane_rows * cut_.grid.tile_h;
    pitch_ = cut_.grid.lane_columns * cut_.grid.tile_w + phases_.extra_columns();
    plane_floats_ = round_up((plane_rows_ + phases_.extra_rows()) * pitch_ + 2 * kUnit, kUnit);
  }

  void pack(const float* image, const LaneStrip& strip, int64_t first, int64_t last, float* panel,
            float* plane, const KernelTable& kernels) const override {
    LanePack pack = {plane, pitch_, cut_.grid, rows_, columns_, row_step_, column_step_, nullptr};
    std::vector<PlaneCopy> copies;  // of the first channel, one per phase
    for (int64_t p = 0; p < phases_.count(); ++p) {
      copies.push_back(
          phases_.copy(p, image, strip.first / out_w_, strip.first % out_w_, plane_rows_, pitch_));
    }
    pack.dst = panel + first * reads_.channel_floats;
    for (int64_t c = first; c < last; ++c) {
      for (PlaneCopy copy : copies) {
        copy.src += c * in_size_;
        copy.dst = plane;
        kernels.copy_plane(copy);
        kernels.pack_lanes(pack);
        pack.dst += rows_ * columns_ * lanes_;
      }
      pack.dst += reads_.channel_floats - phases_.count() * rows_ * columns_ * lanes_;
    }
  }

  void set(const LaneStrip&, const LaneBlock& block, const float* panel, const LaneOutputs&,
           ListJob* job) const override {
    job->panel = panel + vector_at(block.row, block.column) * lanes_;
    job->height = lanes_are_columns() ? block.width : block.height;
    job->width = lanes_are_columns() ? block.height : block.width;
    job->pitch = columns_;
    job->y = nullptr;
  }

  void store(const LaneStrip& strip, const LaneBlock& block, const float* sums, int64_t filters,
             const LaneOutputs& outputs, const Epilogue& epilogue,
             const KernelTable& kernels) const override {
    kernels.store_lanes({sums, filters, block.height, block.width, cut_.grid, block.row,
                         block.column, strip.rows, strip.columns, out_w_,
                         outputs.residual ? outputs.residual + strip.first : nullptr,
                         outputs.y + strip.first, outputs.y_stride, epilogue});
  }

 private:
  // Then the vectors of a column follow each other, and nothing is transposed.
  bool lanes_are_columns(const LaneGrid& grid) const {
    return grid.lane_columns == lanes_ && grid.tile_w == 1;
  }
  bool lanes_are_columns() const { return lanes_are_columns(cut_.grid); }
  LaneShape shape(const Cut& cut) const {
    return {cut.grid.tile_h, cut.grid.tile_w, lanes_are_columns(cut.grid)};
  }
  int64_t vector_at(int64_t row, int64_t column) const {
    return row * row_step_ + column * column_step_;
  }
  // Packing writes up to 3 vectors too much.
  LaneReads reads(const Cut& cut) const {
    return {(places(cut.grid.tile_h, cut.grid.tile_w) + 3) * lanes_,
            places(cut.block_h, cut.block_w) * lanes_};
  }
  // Vectors of all phases of a channel that height x width outputs read.
  int64_t places(int64_t height, int64_t width) const {
    return phases_.count() * (height + phases_.extra_rows()) * (width + phases_.extra_columns());
  }

  Cut best_cut(const SpmmSize& size) const;
  Cut best_windows(const SpmmSize& size, const LaneShapePrice& price) const;
  // Rows of vectors of a block, as a job sees it.
  int64_t job_rows(const Cut& cut) const {
    return lanes_are_columns(cut.grid) ? cut.block_w : cut.block_h;
  }
  double time(const LaneCost& cost, const Cut& cut) const;
  double singly(const Cut& cut) const;
  void add_strips();

  ConvParams params_;
  int64_t in_size_, out_h_, lanes_;
  Phases phases_;
  Cut cut_;
  int64_t rows_, columns_;  // vectors of a phase, of a lane and around it
  int64_t row_step_, column_step_;
  int64_t plane_rows_, pitch_;  // of a padded phase
};

// The fastest of all strips, with all grids of lanes and all shapes of blocks.
Cut SpatialLanes::best_cut(const SpmmSize& size) const {
  const LaneCost cost(size);
  Cut best = {};
  double least = 0;
  Cut cut = {};
  cut.strip_w = out_w_;
  const int64_t parts = std::min(size.packing().shared_out(1, out_h_), out_h_);
  for (int64_t strips = parts; strips <= out_h_; strips *= 2) {
    cut.strip_h = divide_up(out_h_, strips);
    cut.strips = divide_up(out_h_, cut.strip_h);
    for (int64_t across = 1; across <= lanes_; across *= 2) {
      cut.grid = {across, divide_up(cut.strip_h, lanes_ / across), divide_up(out_w_, across)};
      const int64_t most_h = std::min(cut.grid.tile_h, kMostListVectors);
      for (cut.block_h = 1; cut.block_h <= most_h; ++cut.block_h) {
        const int64_t most_w = std::min(cut.grid.tile_w, kMostListVectors / cut.block_h);
        for (cut.block_w = 1; cut.block_w <= most_w; ++cut.block_w) {
          const double taken = time(cost, cut);
          if (least == 0 || taken < least) best = cut, least = taken;
        }
      }
    }
    // Shorter strips only read more rows twice.
    if (least > 0 && 4 * strips > out_h_) break;
  }
  return best;
}

// The same of windows whose tiles are few shapes: what the lists of a shape take is made only once.
Cut SpatialLanes::best_windows(const SpmmSize& size, const LaneShapePrice& price) const {
  const LaneCost cost(size);
  Cut best = {};
  double least = 0;
  for (const int64_t tile_h : kSharedTiles) {
    for (const int64_t tile_w : kSharedTiles) {
      for (int64_t across = 1; across <= lanes_; across *= 2) {
        Cut cut = {};
        cut.grid = {across, tile_h, tile_w};
        cut.strip_h = lanes_ / across * tile_h;
        cut.strip_w = across * tile_w;
        cut.strips = divide_up(out_h_, cut.strip_h) * divide_up(out_w_, cut.strip_w);
        cut.block_h = std::min(tile_h, kMostListVectors / tile_w);
        cut.block_w = tile_w;
        const double taken = time(cost, cut) + price(shape(cut));
        if (least == 0 || taken < least) best = cut, least = taken;
      }
    }
  }
  return best;
}

double SpatialLanes::time(const LaneCost& cost, const Cut& cut) const {
  const LaneGrid& grid = cut.grid;
  const double blocks = static_cast<double>(divide_up(grid.tile_h, cut.block_h) *
                                            divide_up(grid.tile_w, cut.block_w));
  // Balanced blocks have fewer vectors.
  const double vectors = static_cast<double>(grid.tile_h * grid.tile_w);
  return cost.last_resort(reads(cut)) * static_cast<double>(cut.strips) *
         (blocks * cost.block(vectors / blocks, job_rows(cut), reads(cut)) +
          cost.pack(places(grid.tile_h, grid.tile_w)) + cost.store(vectors, singly(cut)));
}

// The share of outputs that leave one by one: those of narrow blocks, and of tiles that reach
// beyond the map.
double SpatialLanes::singly(const Cut& cut) const {
  if (cut.grid.lane_columns == lanes_ && cut.grid.tile_w == 1) return 0;
  if (cut.block_w < 4) return 1;
  const bool beyond = out_w_ % (cut.grid.lane_columns * cut.grid.tile_w) != 0;
  return beyond ? 1.0 / static_cast<double>(cut.grid.lane_columns) : 0;
}

void SpatialLanes::add_strips() {
  std::vector<LaneBlock> blocks;
  const int64_t tile_h = cut_.grid.tile_h, tile_w = cut_.grid.tile_w;
  const int64_t down = divide_up(tile_h, cut_.block_h), across = divide_up(tile_w, cut_.block_w);
  for (int64_t i = 0; i < down; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      const int64_t row = i * tile_h / down, column = j * tile_w / across;
      blocks.push_back(
          {row, column, (i + 1) * tile_h / down - row, (j + 1) * tile_w / across - column});
      vectors_ = std::max(vectors_, blocks.back().vectors());
    }
  }
  for (int64_t row = 0; row < out_h_; row += cut_.strip_h) {
    for (int64_t column = 0; column < out_w_; column += cut_.strip_w) {
      strips_.push_back({row * out_w_ + column, std::min(cut_.strip_h, out_h_ - row),
                         std::min(cut_.strip_w, out_w_ - column), blocks});
    }
  }
}

}  // namespace

std::unique_ptr<LanePacking> spatial_lanes(const SpmmSize& size, const LaneShapePrice* price) {
  const ConvParams& p = size.layer.params;
  const auto places = [](int64_t kernel, int64_t stride, int64_t dilation) {
    const int64_t phases = std::min(kernel, stride / std::gcd(stride, dilation));
    return static_cast<double>(phases) * static_cast<double>(1 + (kernel - 1) * dilation / stride);
  };
  // Of one output of each lane; kernels may be of any size.
  const double least = places(p.kernel_h, p.stride_h, p.dilation_h) *
                       places(p.kernel_w, p.stride_w, p.dilation_w) *
                       static_cast<double>(size.layer.kernels.gemm_lanes());
  if (least > kMostListDistance) return nullptr;
  return std::make_unique<SpatialLanes>(size, price);
}

}  // namespace sparsepass
