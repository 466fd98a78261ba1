// Input in padded rows.  Strides become one plane per phase, so that neighbouring outputs always
// read neighbouring inputs; the zero padding at the right of a row is shared with the left of the
// next one (arXiv 1608.01409).
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "base/arithmetic.h"
#include "weight_sparse/packing.h"

namespace sparsepass {
namespace {

class Planes : public Packing {
 public:
  explicit Planes(const PackingRequest& request) : Packing(request) {
    add_phases();
    set_pitch();
    const int64_t planes = params_.channels() * static_cast<int64_t>(phases_.size());
    const int64_t strips = strip_count(request, request.strip_budget() / (planes * pitch_));
    // Planes start at different cache sets, and have room for what the last row shares.
    plane_ = round_up((divide_up(out_h_, strips) + shift_h_) * pitch_ + kUnit, kUnit);
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
  struct Phase {
    int64_t row, column;      // of the input, modulo the strides
    int64_t zeros, elements;  // leading zeros of a packed row, then input elements
  };

  int64_t tap_offset(int64_t channel, int64_t row, int64_t column) const override {
    const ConvParams& p = params_;
    const int64_t phase = row % row_phases_ * column_phases_ + column % column_phases_;
    return (channel * static_cast<int64_t>(phases_.size()) + phase) * plane_ +
           row * p.dilation_h / p.stride_h * pitch_ + column * p.dilation_w / p.stride_w;
  }
  void add_phases();
  void set_pitch();
  int64_t strip_count(const PackingRequest& request, int64_t budget) const;
  void cut_rows(int64_t strips);
  PlaneCopy phase_copy(const Phase& phase, const float* image, const Strip& strip) const;

  int64_t row_phases_, column_phases_;
  std::vector<Phase> phases_;  // (row phase, column phase)
  int64_t shift_h_;            // rows a packed plane has beyond its output rows
  int64_t pitch_;              // floats from one row to the next
  int64_t plane_;              // floats from one plane to the next
};

void Planes::add_phases() {
  const ConvParams& p = params_;
  // Taps of the same phase are stride / gcd(stride, dilation) apart.
  row_phases_ = std::min(p.kernel_h, p.stride_h / std::gcd(p.stride_h, p.dilation_h));
  column_phases_ = std::min(p.kernel_w, p.stride_w / std::gcd(p.stride_w, p.dilation_w));
  for (int64_t row = 0; row < row_phases_; ++row) {
    for (int64_t column = 0; column < column_phases_; ++column) {
      phases_.push_back(
          {row * p.dilation_h % p.stride_h, column * p.dilation_w % p.stride_w, 0, 0});
    }
  }
  shift_h_ = (p.kernel_h - 1) * p.dilation_h / p.stride_h;
}

// Sets the pitch and what rows of each phase hold: packed column j of a phase holds input column
// j * stride + phase - pad_left.
void Planes::set_pitch() {
  const ConvParams& p = params_;
  const int64_t needed = out_w_ + (p.kernel_w - 1) * p.dilation_w / p.stride_w;
  int64_t least_zeros = needed, most_used = 0;
  for (Phase& phase : phases_) {
    const int64_t before = std::max<int64_t>(0, p.pad_left - phase.column);
    phase.zeros = std::min(needed, divide_up(before, p.stride_w));
    const int64_t last = in_w_ - 1 + p.pad_left - phase.column;
    const int64_t end = last < 0 ? 0 : std::min(needed, last / p.stride_w + 1);
    phase.elements = std::max<int64_t>(0, end - phase.zeros);
    least_zeros = std::min(least_zeros, phase.zeros);
    most_used = std::max(most_used, phase.zeros + phase.elements);
  }
  pitch_ = std::max<int64_t>(std::max(most_used, needed - least_zeros), out_w_);
}

// Strips whose planes have about `budget` rows.
int64_t Planes::strip_count(const PackingRequest& request, int64_t budget) const {
  const int64_t rows = std::min(std::max<int64_t>(4, budget - shift_h_), out_h_);
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

PlaneCopy Planes::phase_copy(const Phase& phase, const float* image, const Strip& strip) const {
  const int64_t rows = strip.rows + shift_h_;
  // Packed row r holds input row r * stride + offset.
  const int64_t offset = strip.first_row * params_.stride_h + phase.row - params_.pad_top;
  PlaneCopy copy;
  copy.before = std::min(rows, divide_up(std::max<int64_t>(0, -offset), params_.stride_h));
  const int64_t below = divide_up(std::max<int64_t>(0, in_h_ - offset), params_.stride_h);
  copy.inside = phase.elements ? std::max<int64_t>(0, std::min(rows, below) - copy.before) : 0;
  copy.after = rows - copy.before - copy.inside;
  const int64_t row = offset + copy.before * params_.stride_h;
  const int64_t column = phase.zeros * params_.stride_w + phase.column - params_.pad_left;
  copy.src = copy.inside ? image + row * in_w_ + column : image;
  copy.src_step = params_.stride_h * in_w_;
  copy.zeros = phase.zeros;
  copy.elements = phase.elements;
  copy.pitch = pitch_;
  copy.stride = params_.stride_w;
  return copy;
}

void Planes::pack(const float* image, const Strip& strip, int64_t first, int64_t last,
                  float* packed, const KernelTable& kernels) const {
  std::vector<PlaneCopy> copies;  // of the first channel, one per phase
  for (const Phase& phase : phases_) copies.push_back(phase_copy(phase, image, strip));
  float* plane = packed + first * static_cast<int64_t>(phases_.size()) * plane_;
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
