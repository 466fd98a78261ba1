#include "weight_sparse/packing.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "base/arithmetic.h"

namespace sparsepass {
namespace {

// Floats of packed input a strip may take: it shares the second-level cache (at least 512 KiB on
// the machines of the last ten years) with the weights and the output.
constexpr int64_t kLeastStripFloats = 80 * 1024;
// Every strip streams all weights once more, about this many floats each (value and code), so it
// may be as large as they are, up to a limit.
constexpr double kFloatsPerWeight = 4.0;
constexpr int64_t kMostStripFloats = 2048 * 1024;

// Multiplications per input element from which copying a 1x1 layer's input into panels pays: the
// copy costs about three cycles per 16 elements, aligned and sequential loads save about a third of
// each multiplication.
constexpr double kPanelReuse = 12.0;

// Units from which a thread takes a part of the map, rather than some of the output channels: it
// then finds in its own cache what it wrote one layer before, but runs through all of the code.
constexpr int64_t kUnitsOfPart = 6;

// Strips that share out well among `parts` threads.
int64_t shared_out(int64_t strips, int64_t units, int64_t parts) {
  return strips > 1 || units >= kUnitsOfPart * parts ? divide_up(strips, parts) * parts : strips;
}

}  // namespace

std::string Packing::init(const ConvParams& params, int64_t in_h, int64_t in_w, double reuse,
                          int64_t parts) {
  params_ = params;
  in_h_ = in_h;
  in_w_ = in_w;
  out_h_ = params.out_h(in_h);
  out_w_ = params.out_w(in_w);
  const bool padded = params.pad_top || params.pad_left || params.pad_bottom || params.pad_right;
  const bool strided = params.stride_h != 1 || params.stride_w != 1;
  const bool pointwise = params.kernel_h == 1 && params.kernel_w == 1 && !padded;
  const int64_t most = std::numeric_limits<int32_t>::max() / 4;
  if (in_h * in_w > most || out_h_ * out_w_ > most) return "the map is larger than 2 GiB";

  const double weights =
      reuse * static_cast<double>(params.channels() * params.kernel_h * params.kernel_w);
  const int64_t strip_floats = std::clamp(static_cast<int64_t>(weights * kFloatsPerWeight),
                                          kLeastStripFloats, kMostStripFloats);
  const int64_t positions = out_h_ * out_w_;
  // Floats a unit may read beyond its own position in the last channel.
  const int64_t reach =
      params.dilation_h * (params.kernel_h - 1) * in_w + params.dilation_w * (params.kernel_w - 1);
  if (pointwise && reuse >= kPanelReuse) {
    layout_ = Layout::panels;
    pitch_ = positions;
    plane_ = in_h * in_w;
    const int64_t budget = std::max<int64_t>(1, strip_floats / (params.channels() * kUnit)) * kUnit;
    // Units start at different cache sets.
    unit_stride_ = (params.channels() | 1) * kUnit;
    add_flat_units(positions, positions, budget, parts);
    for (const Unit& unit : units_) {
      const int64_t count = std::min(kUnit, positions - unit.x);
      bool neighbours = true;
      for (int64_t i = 0; i < kUnit; ++i) {
        const int64_t position = unit.x + std::min(i, count - 1);
        lanes_.push_back(static_cast<int32_t>(position / out_w_ * params.stride_h * in_w +
                                              position % out_w_ * params.stride_w));
        if (i > 0 && i < count) neighbours &= lanes_.back() == lanes_[lanes_.size() - 2] + 1;
      }
      neighbours_.push_back(static_cast<uint8_t>(neighbours ? count : 0));
    }
    for (Strip& strip : strips_) {
      for (int64_t u = 0; u < strip.units; ++u) {
        units_[strip.first_unit + u].x = static_cast<int32_t>(u * unit_stride_);
      }
      strip_floats_ = std::max(strip_floats_, strip.units * unit_stride_);
    }
  } else if (!padded && !strided && in_h * in_w - reach >= kUnit) {
    layout_ = Layout::in_place;
    pitch_ = pointwise ? positions : in_w;
    plane_ = in_h * in_w;
    const int64_t span = pointwise ? positions : (out_h_ - 1) * in_w + out_w_;
    const int64_t budget =
        std::max<int64_t>(4 * kUnit, strip_floats / params.channels() / kUnit * kUnit);
    add_flat_units(span, in_h * in_w - reach - kUnit, budget, parts);
  } else {
    layout_ = Layout::planes;
    init_planes();
    const int64_t planes = params.channels() * static_cast<int64_t>(phases_.size());
    const int64_t row_floats = planes * pitch_;
    int64_t rows = std::max<int64_t>(4, strip_floats / row_floats - shift_h_);
    rows = std::min(rows, out_h_);
    const int64_t units = divide_up(out_h_ * pitch_, kUnit);
    const int64_t count = std::min(out_h_, shared_out(divide_up(out_h_, rows), units, parts));
    rows = divide_up(out_h_, count);
    // Planes start at different cache sets, and have room for what the last row shares.
    plane_ = divide_up((rows + shift_h_) * pitch_ + kUnit, kUnit) * kUnit;
    if (plane_ / kUnit % 2 == 0) plane_ += kUnit;
    if (!multiply(planes, plane_, &strip_floats_) || strip_floats_ > most) {
      return "the padded input is larger than 2 GiB";
    }
    strip_floats_ += 2 * kUnit;
    for (int64_t s = 0; s < count; ++s) {
      const int64_t row = s * out_h_ / count, height = (s + 1) * out_h_ / count - row;
      const int64_t first = static_cast<int64_t>(units_.size());
      add_units(height, out_w_, row * out_w_);
      strips_.push_back({first, static_cast<int64_t>(units_.size()) - first, row, height});
    }
  }
  return "";
}

void Packing::init_planes() {
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
  const int64_t shift_w = (p.kernel_w - 1) * p.dilation_w / p.stride_w;
  // Packed column j of a phase holds input column j * stride + phase - pad_left.
  const int64_t needed = out_w_ + shift_w;
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

// Units over `positions` of the rows of a whole map, cut into strips of about `budget` positions;
// no unit starts behind `x_limit`, so that none reads behind the end of the tensor.
void Packing::add_flat_units(int64_t positions, int64_t x_limit, int64_t budget, int64_t parts) {
  const bool flat = pitch_ == positions;
  add_units(divide_up(positions, pitch_), flat ? positions : out_w_, 0);
  for (Unit& unit : units_) {
    const int64_t back = unit.x - x_limit;
    if (back <= 0) continue;
    unit.x = static_cast<int32_t>(x_limit);
    unit.mask = unit.mask << back & 0xFFFFu;
    has_gaps_ |= !flat;
  }
  const int64_t count = static_cast<int64_t>(units_.size());
  int64_t strips = shared_out(divide_up(count * kUnit, budget), count, parts);
  strips = std::max<int64_t>(1, std::min(strips, count));
  for (int64_t s = 0; s < strips; ++s) {
    const int64_t first = s * count / strips;
    strips_.push_back({first, (s + 1) * count / strips - first, 0, 0});
  }
}

// Units over `rows` rows of `pitch_` positions whose first `valid` are outputs, written from `y`
// on.
void Packing::add_units(int64_t rows, int64_t valid, int64_t y) {
  const int64_t end = (rows - 1) * pitch_ + valid;
  for (int64_t x = 0; x < end; x += kUnit) {
    uint32_t mask = 0;
    int64_t first = -1;
    for (int64_t i = 0; i < kUnit && x + i < end; ++i) {
      const int64_t row = (x + i) / pitch_, column = (x + i) % pitch_;
      if (column >= valid) continue;
      if (first < 0) first = y + row * valid + column;
      mask |= 1u << i;
    }
    if (!mask) continue;
    if (mask & (mask + 1)) has_gaps_ = true;
    units_.push_back({static_cast<int32_t>(x), static_cast<int32_t>(first), mask});
  }
}

int64_t Packing::tap_offset(int64_t channel, int64_t row, int64_t column) const {
  const ConvParams& p = params_;
  if (layout_ == Layout::panels) return channel * kUnit;
  const int64_t r = row * p.dilation_h, c = column * p.dilation_w;
  if (layout_ == Layout::in_place) return channel * plane_ + r * in_w_ + c;
  const int64_t phase = row % row_phases_ * column_phases_ + column % column_phases_;
  return (channel * static_cast<int64_t>(phases_.size()) + phase) * plane_ +
         r / p.stride_h * pitch_ + c / p.stride_w;
}

void Packing::pack(const float* image, const Strip& strip, int64_t first, int64_t last,
                   float* packed, const KernelTable& kernels) const {
  const int64_t map = in_h_ * in_w_;
  if (layout_ == Layout::panels) {
    PanelCopy copy;
    copy.src = image + first * map;
    copy.plane = map;
    copy.channels = last - first;
    copy.units = strip.units;
    copy.unit_stride = unit_stride_;
    copy.lane = &lanes_[strip.first_unit * kUnit];
    copy.neighbours = &neighbours_[strip.first_unit];
    copy.dst = packed + first * kUnit;
    kernels.copy_panels(copy);
    return;
  }
  const int64_t rows = strip.rows + shift_h_;
  std::vector<PlaneCopy> copies;  // of the first channel, one per phase
  for (const Phase& phase : phases_) {
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
    copies.push_back(copy);
  }
  float* plane = packed + first * static_cast<int64_t>(phases_.size()) * plane_;
  for (int64_t c = first; c < last; ++c) {
    for (PlaneCopy copy : copies) {
      copy.src += c * map;
      copy.dst = plane;
      kernels.copy_plane(copy);
      plane += plane_;
    }
  }
  if (last == params_.channels()) {
    std::memset(packed + strip_floats_ - 2 * kUnit, 0, 2 * kUnit * sizeof(float));
  }
}

}  // namespace sparsepass
