// Outputs as one row: the lanes of a vector are neighbouring outputs of a 1x1 convolution.
#include <algorithm>

#include "base/arithmetic.h"
#include "weight_sparse/lane_packing.h"
#include "weight_sparse/phases.h"

namespace sparsepass {
namespace {

class FlatLanes : public LanePacking {
 public:
  FlatLanes(const SpmmSize& size, const LaneShapePrice* price)
      : LanePacking(size.layer.params.out_w(size.in_w)),
        params_(size.layer.params),
        in_size_(size.in_h * size.in_w),
        lanes_(size.layer.kernels.gemm_lanes()),
        phases_(params_, size.in_h, size.in_w) {
    const int64_t outputs = size.positions(), vectors = divide_up(outputs, lanes_);
    int64_t count;
    if (price) {
      width_ = shared_width(size, vectors, *price);
      count = divide_up(vectors, width_);
    } else {
      count = strip_count(size, vectors);
      width_ = divide_up(vectors, count);
    }
    shape_ = {1, width_, false};
    vectors_ = width_;
    const auto begin = [&](int64_t s) {
      return (price ? s * width_ : s * vectors / count) * lanes_;
    };
    for (int64_t s = 0; s < count; ++s) {
      const int64_t columns = std::min(begin(s + 1), outputs) - begin(s);
      strips_.push_back({begin(s), 1, columns, {{0, 0, 1, divide_up(columns, lanes_)}}});
    }
    distances_ = {0};
    reads_ = {width_ * lanes_, width_ * lanes_};
    if (is_strided()) plane_floats_ = (width_ * lanes_ / out_w_ + 2) * out_w_ + 2 * kUnit;
  }

  void pack(const float* image, const LaneStrip& strip, int64_t first, int64_t last, float* panel,
            float* plane, const KernelTable& kernels) const override {
    FlatPack pack = {};
    pack.count = strip.columns;
    pack.width = width_;
    if (!is_strided()) {
      pack.src = image + first * in_size_ + strip.first;
      pack.plane = in_size_;
      pack.channels = last - first;
      pack.dst = panel + first * reads_.channel_floats;
      return kernels.pack_flat(pack);
    }
    // The rows that hold the outputs of the strip, without what the strides skip.
    const int64_t row = strip.first / out_w_;
    const int64_t rows = divide_up(strip.first + strip.columns, out_w_) - row;
    pack.src = plane + strip.first - row * out_w_;
    pack.channels = 1;
    for (int64_t c = first; c < last; ++c) {
      PlaneCopy copy = phases_.copy(0, image + c * in_size_, row, 0, rows, out_w_);
      copy.dst = plane;
      kernels.copy_plane(copy);
      pack.dst = panel + c * reads_.channel_floats;
      kernels.pack_flat(pack);
    }
  }

  void set(const LaneStrip& strip, const LaneBlock& block, const float* panel,
           const LaneOutputs& outputs, ListJob* job) const override {
    job->panel = panel;
    job->height = 1;
    job->width = block.width;
    job->pitch = 0;
    job->y = is_whole(strip) ? outputs.y + strip.first : nullptr;
    job->residual = outputs.residual ? outputs.residual + strip.first : nullptr;
    job->y_stride = outputs.y_stride;
  }

  void store(const LaneStrip& strip, const LaneBlock& block, const float* sums, int64_t filters,
             const LaneOutputs& outputs, const Epilogue& epilogue,
             const KernelTable& kernels) const override {
    if (is_whole(strip)) return;
    kernels.store_flat({sums, filters, block.width * lanes_, strip.columns,
                        outputs.residual ? outputs.residual + strip.first : nullptr,
                        outputs.y + strip.first, outputs.y_stride, epilogue});
  }

 private:
  bool is_strided() const { return params_.stride_h != 1 || params_.stride_w != 1; }
  // Without idle lanes the kernel writes the outputs itself.
  bool is_whole(const LaneStrip& strip) const { return strip.columns % lanes_ == 0; }

  // The fastest number of strips, of those that threads share.
  int64_t strip_count(const SpmmSize& size, int64_t vectors) const {
    const LaneCost cost(size);
    const PackingRequest request = size.packing();
    int64_t best = 0;
    double least = 0;
    for (int64_t width = 1; width <= kMostListVectors; ++width) {
      const int64_t strips = request.shared_out(divide_up(vectors, width), vectors);
      const int64_t count = std::min(vectors, strips);
      const int64_t widest = divide_up(vectors, count) * lanes_;
      // Some strips have one vector less.
      const double each = static_cast<double>(vectors) / static_cast<double>(count);
      const double time = static_cast<double>(count) * cost.block(each, 1, {widest, widest});
      if (best == 0 || time < least) best = count, least = time;
    }
    return best;
  }

  // The fastest width of strips that all have it, but the last one.
  int64_t shared_width(const SpmmSize& size, int64_t vectors, const LaneShapePrice& price) const {
    const LaneCost cost(size);
    int64_t best = 0;
    double least = 0;
    for (int64_t width = 1; width <= kMostListVectors; ++width) {
      const LaneReads reads = {width * lanes_, width * lanes_};
      const auto each = [&](int64_t w) { return cost.block(static_cast<double>(w), 1, reads); };
      const double whole = static_cast<double>(vectors / width) * each(width);
      const double rest = vectors % width ? each(vectors % width) : 0;
      const double time = whole + rest + price({1, width, false});
      if (best == 0 || time < least) best = width, least = time;
    }
    return best;
  }

  ConvParams params_;
  int64_t in_size_, lanes_, width_;
  Phases phases_;
};

}  // namespace

std::unique_ptr<LanePacking> flat_lanes(const SpmmSize& size, const LaneShapePrice* price) {
  return size.packing().is_pointwise() ? std::make_unique<FlatLanes>(size, price) : nullptr;
}

}  // namespace sparsepass
