#include "weight_sparse/packing.h"

#include <algorithm>
#include <stdexcept>

#include "base/arithmetic.h"

namespace sparsepass {
namespace {

// In order of preference.
constexpr Layout* kLayouts[] = {panels, in_place, planes};

}  // namespace

int64_t PackingRequest::strip_budget() const {
  const double weights =
      reuse * static_cast<double>(params.channels() * params.kernel_h * params.kernel_w);
  const int64_t least = floats_in(tuning.strip_second_level, caches().second);
  const int64_t most = std::max(least, floats_in(tuning.strip_last_level, caches().last));
  return std::clamp(static_cast<int64_t>(weights * tuning.strip_floats_per_weight), least, most);
}

int64_t PackingRequest::shared_out(int64_t strips, int64_t units) const {
  const bool shared = strips > 1 || units >= tuning.part_units * parts;
  return shared ? round_up(strips, parts) : strips;
}

std::vector<int64_t> Packing::tap_offsets() const {
  std::vector<int64_t> offsets;
  offsets.reserve(params_.channels() * params_.kernel_h * params_.kernel_w);
  for (int64_t channel = 0; channel < params_.channels(); ++channel) {
    for (int64_t row = 0; row < params_.kernel_h; ++row) {
      for (int64_t column = 0; column < params_.kernel_w; ++column) {
        offsets.push_back(tap_offset(channel, row, column));
      }
    }
  }
  return offsets;
}

void Packing::add_units(int64_t rows, int64_t pitch, int64_t valid, int64_t y) {
  const int64_t end = (rows - 1) * pitch + valid;
  for (int64_t x = 0; x < end; x += kUnit) {
    uint32_t mask = 0;
    int64_t first = -1;
    for (int64_t i = 0; i < kUnit && x + i < end; ++i) {
      const int64_t row = (x + i) / pitch, column = (x + i) % pitch;
      if (column >= valid) continue;
      if (first < 0) first = y + row * valid + column;
      mask |= 1u << i;
    }
    if (!mask) continue;
    if (mask & (mask + 1)) has_gaps_ = true;
    units_.push_back({static_cast<int32_t>(x), static_cast<int32_t>(first), mask});
  }
}

void Packing::cut_strips(const PackingRequest& request, int64_t units, int64_t budget) {
  const int64_t wanted = request.shared_out(divide_up(units * kUnit, budget), units);
  const int64_t strips = std::max<int64_t>(1, std::min(wanted, units));
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t first = s * units / strips;
    strips_.push_back({first, (s + 1) * units / strips - first, 0, 0});
  }
}

std::unique_ptr<Packing> make_packing(const PackingRequest& request) {
  if (request.in_h * request.in_w > kMostFloats ||
      request.out_h() * request.out_w() > kMostFloats) {
    throw std::length_error("the map is larger than 2 GiB");
  }
  for (Layout* layout : kLayouts) {
    if (auto packing = layout(request)) return packing;
  }
  return nullptr;
}

}  // namespace sparsepass
