// Input of a 1x1 layer copied so that the 16 positions of a unit lie next to each other, channel
// after channel.
#include <algorithm>

#include "base/arithmetic.h"
#include "weight_sparse/packing.h"

namespace sparsepass {
namespace {

class Panels : public Packing {
 public:
  explicit Panels(const PackingRequest& request) : Packing(request) {
    // Units start at different cache sets.
    unit_stride_ = (params_.channels() | 1) * kUnit;
    const int64_t positions = out_h_ * out_w_, panel_floats = params_.channels() * kUnit;
    cut_strips(request, divide_up(positions, kUnit),
               std::max<int64_t>(1, request.strip_budget() / panel_floats) * kUnit);
    for (const Strip& strip : strips_) {
      for (int64_t u = 0; u < strip.units; ++u) {
        const int64_t y = (strip.first_unit + u) * kUnit;
        add_panel(u * unit_stride_, y, std::min(kUnit, positions - y));
      }
      strip_floats_ = std::max(strip_floats_, strip.units * unit_stride_);
    }
  }

  size_t bytes() const override {
    return Packing::bytes() + lanes_.size() * sizeof(int32_t) + neighbours_.size();
  }

  void pack(const float* image, const Strip& strip, int64_t first, int64_t last, float* packed,
            const KernelTable& kernels) const override {
    PanelCopy copy;
    copy.plane = in_h_ * in_w_;
    copy.src = image + first * copy.plane;
    copy.channels = last - first;
    copy.units = strip.units;
    copy.unit_stride = unit_stride_;
    copy.lane = &lanes_[strip.first_unit * kUnit];
    copy.neighbours = &neighbours_[strip.first_unit];
    copy.dst = packed + first * kUnit;
    kernels.copy_panels(copy);
  }

 private:
  int64_t tap_offset(int64_t channel, int64_t, int64_t) const override { return channel * kUnit; }

  // Adds the unit of `count` output positions from `y` on, and where its lanes lie in the input.
  void add_panel(int64_t x, int64_t y, int64_t count) {
    units_.push_back({static_cast<int32_t>(x), static_cast<int32_t>(y), (1u << count) - 1});
    bool neighbours = true;
    for (int64_t i = 0; i < kUnit; ++i) {
      const int64_t position = y + std::min(i, count - 1);
      lanes_.push_back(static_cast<int32_t>(position / out_w_ * params_.stride_h * in_w_ +
                                            position % out_w_ * params_.stride_w));
      if (i > 0 && i < count) neighbours &= lanes_.back() == lanes_[lanes_.size() - 2] + 1;
    }
    neighbours_.push_back(static_cast<uint8_t>(neighbours ? count : 0));
  }

  int64_t unit_stride_;              // floats from one unit to the next
  std::vector<int32_t> lanes_;       // input positions of each unit's lanes
  std::vector<uint8_t> neighbours_;  // see PanelCopy
};

}  // namespace

std::unique_ptr<Packing> panels(const PackingRequest& request) {
  const bool fits = request.is_pointwise() && request.reuse >= request.tuning.panel_reuse;
  return fits ? std::make_unique<Panels>(request) : nullptr;
}

}  // namespace sparsepass
