// Input in padded rows.  Strides become one plane per phase, so that neighbouring outputs always
// read neighbouring inputs; the zero padding at the right of a row is shared with the left of the
// next one (arXiv 1608.01409).
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/arithmetic.h"
#include "weight_sparse/packing.h"
#include "weight_sparse/phases.h"

namespace sparsepass {
namespace {

class Planes : public Packing {
 public:
  explicit Planes(const PackingRequest& request)
      : Packing(request), phases_(params_, in_h_, in_w_), pitch_(phases_.shared_pitch()) {
    const int64_t planes = params_.channels() * phases_.count();
    const int64_t strips = strip_count(request, request.strip_budget() / (planes * pitch_));
    // Planes start at different cache sets, and have room for what the last row shares.
    plane_ = round_up((divide_up(out_h_, strips) + phases_.extra_rows()) * pitch_ + kUnit, kUnit);
    if (plane_ / kUnit % 2 == 0) plane_ += kUnit;
    if (!multiply(planes, plane_, &strip_floats_) || strip_floats_ > kMostFloats) {
      throw std::length_error("the padded input is larger than 2 GiB");
    }
    strip_floats_ += 2 * kUnit;
    cut_rows(strips);
  }

  void pack(const float* image, const Strip& strip, int64_t first, int64_t last, float* packed,
            const KernelTable& kernels) const override;

 private:
  int64_t tap_offset(int64_t channel, int64_t row, int64_t column) const override {
    const Phases::Place place = phases_.place(row, column);
    return (channel * phases_.count() + place.phase) * plane_ + place.row * pitch_ + place.column;
  }
  int64_t strip_count(const PackingRequest& request, int64_t budget) const;
  void cut_rows(int64_t strips);

  Phases phases_;
  int64_t pitch_;  // floats from one row to the next
  int64_t plane_;  // floats from one plane to the next
};

// Strips whose planes have about `budget` rows.
int64_t Planes::strip_count(const PackingRequest& request, int64_t budget) const {
  const int64_t rows = std::min(std::max<int64_t>(4, budget - phases_.extra_rows()), out_h_);
  const int64_t units = divide_up(out_h_ * pitch_, kUnit);
  return std::min(out_h_, request.shared_out(divide_up(out_h_, rows), units));
}

// Cuts the output between rows.
void Planes::cut_rows(int64_t strips) {
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t row = s * out_h_ / strips, height = (s + 1) * out_h_ / strips - row;
    const int64_t first = static_cast<int64_t>(units_.size());
    add_units(height, pitch_, out_w_, row * out_w_);
    strips_.push_back({first, static_cast<int64_t>(units_.size()) - first, row, height});
  }
}

void Planes::pack(const float* image, const Strip& strip, int64_t first, int64_t last,
                  float* packed, const KernelTable& kernels) const {
  std::vector<PlaneCopy> copies;  // of the first channel, one per phase
  for (int64_t p = 0; p < phases_.count(); ++p) {
    copies.push_back(phases_.copy(p, image, strip.first_row, 0, strip.rows, pitch_));
  }
  float* plane = packed + first * phases_.count() * plane_;
  for (int64_t c = first; c < last; ++c) {
    for (PlaneCopy copy : copies) {
      copy.src += c * in_h_ * in_w_;
      copy.dst = plane;
      kernels.copy_plane(copy);
      plane += plane_;
    }
  }
  if (last == params_.channels()) {
    std::memset(packed + strip_floats_ - 2 * kUnit, 0, 2 * kUnit * sizeof(float));
  }
}

}  // namespace

std::unique_ptr<Packing> planes(const PackingRequest& request) {
  return std::make_unique<Planes>(request);
}

}  // namespace sparsepass
