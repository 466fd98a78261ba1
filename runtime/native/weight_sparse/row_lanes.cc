// Outputs row by row: the lanes of a vector are neighbouring outputs of a row of the map, and every
// column of the kernel has a copy of the padded rows that begins with it.
//
// Nothing is transposed on the way in or out; in return, the panel is as many times larger.  Wins
// where channels are few, or few weights multiply what was packed.
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
        in_size_(size.in_h * size.in_w),
        out_h_(size.layer.params.out_h(size.in_h)),
        lanes_(size.layer.kernels.gemm_lanes()),
        phases_(size.layer.params, size.in_h, size.in_w),
        row_vectors_(divide_up(out_w_, lanes_)) {
    const ConvParams& params = size.layer.params;
    std::vector<Phases::Place> taps;
    for (int64_t row = 0; row < params.kernel_h; ++row) {
      for (int64_t column = 0; column < params.kernel_w; ++column) {
        taps.push_back(phases_.place(row, column));
        if (copy_of(taps.back()) == copies_.size()) copies_.push_back(taps.back());
      }
    }
    const LaneCost cost(size);
    const Cut cut = best_cut(size, cost);
    strip_h_ = cut.strip_h;
    vectors_ = cut.vectors;
    cycles_ = time(cost, cut);
    reads_ = reads(cut);
    for (const Phases::Place& tap : taps) {
      distances_.push_back(static_cast<int64_t>(copy_of(tap)) * copy_floats(cut) +
                           tap.row * row_floats());
    }
    for (int64_t row = 0; row < out_h_; row += strip_h_) {
      const int64_t rows = std::min(strip_h_, out_h_ - row);
      strips_.push_back({row * out_w_, rows, out_w_, blocks(rows)});
    }
  }

  void pack(const float* image, const LaneStrip& strip, int64_t first, int64_t last, float* panel,
            float*, const KernelTable& kernels) const override {
    std::vector<PlaneCopy> copies;  // of the first channel
    float* dst = panel + first * reads_.channel_floats;
    for (const Phases::Place& of : copies_) {
      copies.push_back(phases_.copy(of.phase, image + first * in_size_, strip.first / out_w_,
                                    of.column, strip_h_, row_floats()));
      copies.back().dst = dst;
      dst += (strip_h_ + phases_.extra_rows()) * row_floats();
    }
    for (int64_t c = first; c < last; ++c) {
      for (PlaneCopy& copy : copies) {
        kernels.copy_plane(copy);
        copy.src += in_size_;
        copy.dst += reads_.channel_floats;
      }
    }
  }

  void set(const LaneStrip& strip, const LaneBlock& block, const float* panel,
           const LaneOutputs& outputs, ListJob* job) const override {
    const int64_t at = block.column * lanes_;
    job->panel = panel + at;
    job->height = 1;
    job->width = block.width;
    job->pitch = 0;
    job->y = is_whole() ? outputs.y + strip.first + at : nullptr;
    job->residual = outputs.residual ? outputs.residual + strip.first + at : nullptr;
    job->y_stride = outputs.y_stride;
  }

  void store(const LaneStrip& strip, const LaneBlock& block, const float* sums, int64_t filters,
             const LaneOutputs& outputs, const Epilogue& epilogue,
             const KernelTable& kernels) const override {
    if (is_whole()) return;
    const int64_t end = block.column + block.width;
    for (int64_t first = block.column, next; first < end; first = next) {
      const int64_t row = first / row_vectors_;
      next = std::min(end, (row + 1) * row_vectors_);
      const int64_t column = (first - row * row_vectors_) * lanes_;
      const int64_t at = strip.first + row * out_w_ + column;
      kernels.store_flat({sums + (first - block.column) * lanes_, filters, block.width * lanes_,
                          std::min((next - first) * lanes_, out_w_ - column),
                          outputs.residual ? outputs.residual + at : nullptr, outputs.y + at,
                          outputs.y_stride, epilogue});
    }
  }

 private:
  // Rows of outputs of a strip, and vectors of a block, which may lie in several rows.
  struct Cut {
    int64_t strip_h, vectors;
  };

  // Without idle lanes the kernel writes the outputs itself.
  bool is_whole() const { return out_w_ % lanes_ == 0; }
  int64_t row_floats() const { return row_vectors_ * lanes_; }
  int64_t copy_floats(const Cut& cut) const {
    return (cut.strip_h + phases_.extra_rows()) * row_floats();
  }
  // The number of the copy that a tap reads.
  size_t copy_of(const Phases::Place& tap) const {
    const auto is_same = [&](const Phases::Place& of) {
      return of.phase == tap.phase && of.column == tap.column;
    };
    return std::find_if(copies_.begin(), copies_.end(), is_same) - copies_.begin();
  }
  // Copying writes a unit too much.
  LaneReads reads(const Cut& cut) const {
    const int64_t copies = static_cast<int64_t>(copies_.size());
    const int64_t rows = divide_up(cut.vectors, row_vectors_) + phases_.extra_rows();
    return {copies * copy_floats(cut) + kUnit,
            copies * rows * std::min(cut.vectors * lanes_, row_floats())};
  }

  Cut best_cut(const SpmmSize& size, const LaneCost& cost) const;
  double time(const LaneCost& cost, const Cut& cut) const;
  std::vector<LaneBlock> blocks(int64_t rows) const;

  int64_t in_size_, out_h_, lanes_;
  Phases phases_;
  int64_t row_vectors_;
  std::vector<Phases::Place> copies_;  // of one tap each, without its row
  int64_t strip_h_ = 0;
};

RowLanes::Cut RowLanes::best_cut(const SpmmSize& size, const LaneCost& cost) const {
  Cut best = {};
  double least = 0;
  for (int64_t strips = std::min(size.packing().shared_out(1, out_h_), out_h_);; strips *= 2) {
    Cut cut = {divide_up(out_h_, std::min(strips, out_h_)), 0};
    const int64_t most = std::min(cut.strip_h * row_vectors_, kMostListVectors);
    for (cut.vectors = 1; cut.vectors <= most; ++cut.vectors) {
      const double taken = time(cost, cut);
      if (least == 0 || taken < least) best = cut, least = taken;
    }
    if (4 * strips > out_h_) return best;
  }
}

double RowLanes::time(const LaneCost& cost, const Cut& cut) const {
  const int64_t vectors = cut.strip_h * row_vectors_;
  const double count = static_cast<double>(divide_up(vectors, cut.vectors));
  const LaneReads read = reads(cut);
  return cost.last_resort(read) * static_cast<double>(divide_up(out_h_, cut.strip_h)) *
         (count * cost.block(static_cast<double>(vectors) / count, 1, read) +
          cost.copy_in(read.channel_floats / lanes_) + (is_whole() ? 0 : cost.copy_out(vectors)));
}

std::vector<LaneBlock> RowLanes::blocks(int64_t rows) const {
  const int64_t vectors = rows * row_vectors_, count = divide_up(vectors, vectors_);
  std::vector<LaneBlock> blocks;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t first = i * vectors / count;
    blocks.push_back({0, first, 1, (i + 1) * vectors / count - first});
  }
  return blocks;
}

}  // namespace

std::unique_ptr<LanePacking> row_lanes(const SpmmSize& size, const LaneShapePrice* price) {
  const ConvParams& params = size.layer.params;
  const Phases phases(params, size.in_h, size.in_w);
  // Of one row of outputs, at most; kernels may be of any size.
  const double copies = static_cast<double>(phases.count()) * static_cast<double>(params.kernel_w);
  const double rows = static_cast<double>(phases.extra_rows() + 1);
  const double row_floats = static_cast<double>(
      round_up(params.out_w(size.in_w), int64_t{size.layer.kernels.gemm_lanes()}));
  if (price || copies * rows * row_floats > kMostListDistance) return nullptr;
  return std::make_unique<RowLanes>(size);
}

}  // namespace sparsepass
