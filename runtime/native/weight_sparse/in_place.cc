// The input where it lies: stride 1 and no padding.
#include <algorithm>

#include "weight_sparse/packing.h"

namespace sparsepass {
namespace {

// Floats a unit may read beyond its own position in the last channel.
int64_t reach(const PackingRequest& request) {
  const ConvParams& p = request.params;
  return p.dilation_h * (p.kernel_h - 1) * request.in_w + p.dilation_w * (p.kernel_w - 1);
}

class InPlace : public Packing {
 public:
  explicit InPlace(const PackingRequest& request) : Packing(request) {
    add_units(out_h_, in_w_, out_w_, 0);
    move_back(in_h_ * in_w_ - reach(request) - kUnit);
    const int64_t per_channel = request.strip_budget() / params_.channels();
    cut_strips(request, static_cast<int64_t>(units_.size()),
               std::max<int64_t>(4 * kUnit, per_channel / kUnit * kUnit));
  }

  void pack(const float*, const Strip&, int64_t, int64_t, float*,
            const KernelTable&) const override {}

 private:
  int64_t tap_offset(int64_t channel, int64_t row, int64_t column) const override {
    return (channel * in_h_ + row * params_.dilation_h) * in_w_ + column * params_.dilation_w;
  }

  // Lets no unit start behind `limit`, so that none reads behind the end of the tensor.
  void move_back(int64_t limit) {
    for (Unit& unit : units_) {
      const int64_t back = unit.x - limit;
      if (back <= 0) continue;
      unit.x = static_cast<int32_t>(limit);
      unit.mask = unit.mask << back & 0xFFFFu;
      has_gaps_ |= out_w_ != in_w_;
    }
  }
};

}  // namespace

std::unique_ptr<Packing> in_place(const PackingRequest& request) {
  const bool fits = !request.is_padded() && !request.is_strided() &&
                    request.in_h * request.in_w - reach(request) >= kUnit;
  return fits ? std::make_unique<InPlace>(request) : nullptr;
}

}  // namespace sparsepass
