// Outputs row by row: the lanes of a vector are neighbouring outputs of a row of the map, and taps
// read the padded map where they find it.
//
// Nothing is transposed on the way in or out; in return, vectors begin anywhere, and some cross two
// cache lines.  Wins where few weights multiply what was packed.
#include <algorithm>

#include "base/arithmetic.h"
#include "weight_sparse/lane_packing.h"
#include "weight_sparse/phases.h"

namespace sparsepass {
namespace {

class RowLanes : public LanePacking {
 public:
  explicit RowLanes(const SpmmSize& size)
      : LanePacking(size.layer.params.out_w(size.in_w)),
        params_(size.layer.params),
        in_size_(size.in_h * size.in_w),
        out_h_(params_.out_h(size.in_h)),
        lanes_(size.layer.kernels.gemm_lanes()),
        phases_(params_, size.in_h, size.in_w),
        row_vectors_(divide_up(out_w_, lanes_)),
        pitch_(round_up(out_w_ + phases_.extra_columns(), lanes_)),
        // The only vector of a row lies in the middle of its cache line.
        margin_(row_vectors_ == 1 && pitch_ == kUnit ? kUnit / 4 : 0) {
    const Cut cut = best_cut(size);
    plane_ = (cut.strip_h + phases_.extra_rows()) * pitch_;
    reads_ = reads(cut);
    for (int64_t row = 0; row < params_.kernel_h; ++row) {
      for (int64_t column = 0; column < params_.kernel_w; ++column) {
        const Phases::Place place = phases_.place(row, column);
        distances_.push_back(margin_ + place.phase * plane_ + place.row * pitch_ + place.column);
      }
    }
    for (int64_t row = 0; row < out_h_; row += cut.strip_h) {
      add_strip(row, std::min(cut.strip_h, out_h_ - row), cut);
    }
    cycles_ = time(LaneCost(size), cut);
    rows_ = cut.strip_h;
  }

  void pack(const float* image, const LaneStrip& strip, int64_t first, int64_t last, float* panel,
            float*, const KernelTable& kernels) const override {
    for (int64_t p = 0; p < phases_.count(); ++p) {
      PlaneCopy copy =
          phases_.copy(p, image + first * in_size_, strip.first / out_w_, 0, rows_, pitch_);
      copy.dst = panel + first * reads_.channel_floats + margin_ + p * plane_;
      for (int64_t c = first; c < last; ++c) {
        kernels.copy_plane(copy);
        copy.src += in_size_;
        copy.dst += reads_.channel_floats;
      }
    }
  }

  void set(const LaneStrip& strip, const LaneBlock& block, const float* panel,
           const LaneOutputs& outputs, ListJob* job) const override {
    const int64_t at = place(strip, block);
    job->panel = panel + block.row * pitch_ + block.column * lanes_;
    job->height = block.height;
    job->width = block.width;
    job->pitch = pitch_ / lanes_;
    job->y = is_whole() ? outputs.y + at : nullptr;
    job->y_pitch = out_w_;
    job->y_step = lanes_;
    job->residual = outputs.residual ? outputs.residual + at : nullptr;
    job->y_stride = outputs.y_stride;
  }

  void store(const LaneStrip& strip, const LaneBlock& block, const float* sums, int64_t filters,
             const LaneOutputs& outputs, const Epilogue& epilogue,
             const KernelTable& kernels) const override {
    if (is_whole()) return;
    const int64_t columns = std::min(block.width * lanes_, out_w_ - block.column * lanes_);
    for (int64_t row = 0; row < block.height; ++row) {
      const int64_t at = place(strip, block) + row * out_w_;
      kernels.store_flat({sums + row * block.width * lanes_, filters, block.vectors() * lanes_,
                          columns, outputs.residual ? outputs.residual + at : nullptr,
                          outputs.y + at, outputs.y_stride, epilogue});
    }
  }

 private:
  // Rows of outputs of a strip, and vectors of a block.
  struct Cut {
    int64_t strip_h, block_h, block_w;
  };

  // Without idle lanes the kernel writes the outputs itself.
  bool is_whole() const { return out_w_ % lanes_ == 0; }
  int64_t place(const LaneStrip& strip, const LaneBlock& block) const {
    return strip.first + block.row * out_w_ + block.column * lanes_;
  }
  LaneReads reads(const Cut& cut) const {
    const int64_t extra = phases_.extra_columns();
    const int64_t rows = cut.strip_h + phases_.extra_rows();
    // Copying writes a unit too much; idle lanes read beyond the last row.
    const int64_t beyond = std::max(kUnit, row_vectors_ * lanes_ + extra - pitch_);
    const int64_t block_rows = cut.block_h + phases_.extra_rows();
    // With the rest of the cache lines.
    const int64_t block_columns = std::min(pitch_, cut.block_w * lanes_ + extra + kUnit);
    return {round_up(margin_ + phases_.count() * rows * pitch_ + beyond, lanes_),
            phases_.count() * block_rows * block_columns, 1};
  }

  Cut best_cut(const SpmmSize& size) const;
  double time(const LaneCost& cost, const Cut& cut) const;
  void add_strip(int64_t row, int64_t rows, const Cut& cut);

  ConvParams params_;
  int64_t in_size_, out_h_, lanes_;
  Phases phases_;
  int64_t row_vectors_;     // of outputs
  int64_t pitch_, margin_;  // floats of a row, and in front of the first
  int64_t plane_ = 0;       // floats of a phase
  int64_t rows_ = 0;        // of outputs, in a strip
};

RowLanes::Cut RowLanes::best_cut(const SpmmSize& size) const {
  const LaneCost cost(size);
  Cut best = {};
  double least = 0;
  for (int64_t strips = std::min(size.packing().shared_out(1, out_h_), out_h_);; strips *= 2) {
    Cut cut = {divide_up(out_h_, std::min(strips, out_h_)), 0, 0};
    const int64_t most_h = std::min(cut.strip_h, kMostListVectors);
    for (cut.block_h = 1; cut.block_h <= most_h; ++cut.block_h) {
      cut.block_w = std::min(row_vectors_, kMostListVectors / cut.block_h);
      const double taken = time(cost, cut);
      if (least == 0 || taken < least) best = cut, least = taken;
    }
    if (4 * strips > out_h_) return best;
  }
}

double RowLanes::time(const LaneCost& cost, const Cut& cut) const {
  const LaneReads read = reads(cut);
  const double strips = static_cast<double>(divide_up(out_h_, cut.strip_h));
  const double blocks =
      static_cast<double>(divide_up(out_h_, cut.block_h) * divide_up(row_vectors_, cut.block_w));
  const int64_t vectors = out_h_ * row_vectors_;
  return blocks * cost.block(static_cast<double>(vectors) / blocks, cut.block_h, read) +
         strips * cost.copy_in(read.channel_floats / lanes_) +
         (is_whole() ? 0 : cost.copy_out(vectors));
}

void RowLanes::add_strip(int64_t row, int64_t rows, const Cut& cut) {
  std::vector<LaneBlock> blocks;
  const int64_t down = divide_up(rows, cut.block_h), across = divide_up(row_vectors_, cut.block_w);
  for (int64_t i = 0; i < down; ++i) {
    for (int64_t j = 0; j < across; ++j) {
      const int64_t first = i * rows / down, column = j * row_vectors_ / across;
      blocks.push_back(
          {first, column, (i + 1) * rows / down - first, (j + 1) * row_vectors_ / across - column});
      vectors_ = std::max(vectors_, blocks.back().vectors());
    }
  }
  strips_.push_back({row * out_w_, rows, out_w_, std::move(blocks)});
}

}  // namespace

std::unique_ptr<LanePacking> row_lanes(const SpmmSize& size, const LaneShapePrice* price) {
  return price ? nullptr : std::make_unique<RowLanes>(size);
}

}  // namespace sparsepass
