#include "weight_sparse/phases.h"

#include <algorithm>
#include <numeric>

#include "base/arithmetic.h"

namespace sparsepass {

Phases::Phases(const ConvParams& params, int64_t in_h, int64_t in_w)
    : params_(params), in_h_(in_h), in_w_(in_w) {
  const ConvParams& p = params_;
  // Taps of the same phase are stride / gcd(stride, dilation) apart.
  row_phases_ = std::min(p.kernel_h, p.stride_h / std::gcd(p.stride_h, p.dilation_h));
  column_phases_ = std::min(p.kernel_w, p.stride_w / std::gcd(p.stride_w, p.dilation_w));
  extra_rows_ = (p.kernel_h - 1) * p.dilation_h / p.stride_h;
  extra_columns_ = (p.kernel_w - 1) * p.dilation_w / p.stride_w;
  // Column j of a phase holds input column j * stride + phase - pad_left.
  const int64_t needed = p.out_w(in_w) + extra_columns_;
  int64_t least_zeros = needed, most_used = 0;
  for (int64_t row = 0; row < row_phases_; ++row) {
    for (int64_t column = 0; column < column_phases_; ++column) {
      Phase phase = {row * p.dilation_h % p.stride_h, column * p.dilation_w % p.stride_w, 0, 0};
      const int64_t before = std::max<int64_t>(0, p.pad_left - phase.column);
      phase.zeros = std::min(needed, divide_up(before, p.stride_w));
      const int64_t last = in_w_ - 1 + p.pad_left - phase.column;
      const int64_t end = last < 0 ? 0 : std::min(needed, last / p.stride_w + 1);
      phase.elements = std::max<int64_t>(0, end - phase.zeros);
      least_zeros = std::min(least_zeros, phase.zeros);
      most_used = std::max(most_used, phase.zeros + phase.elements);
      phases_.push_back(phase);
    }
  }
  shared_pitch_ = std::max({most_used, needed - least_zeros, needed - kUnit, p.out_w(in_w)});
}

Phases::Place Phases::place(int64_t kernel_row, int64_t kernel_column) const {
  return {kernel_row % row_phases_ * column_phases_ + kernel_column % column_phases_,
          kernel_row * params_.dilation_h / params_.stride_h,
          kernel_column * params_.dilation_w / params_.stride_w};
}

PlaneCopy Phases::copy(int64_t index, const float* src, int64_t first_row, int64_t first_column,
                       int64_t out_rows, int64_t pitch) const {
  const Phase& phase = phases_[index];
  // Columns of the phase that hold input elements, from the first one copied on.
  const int64_t begin = std::clamp<int64_t>(phase.zeros - first_column, 0, pitch);
  const int64_t end =
      std::clamp<int64_t>(phase.zeros + phase.elements - first_column, begin, pitch);
  const int64_t rows = out_rows + extra_rows_;
  // Row r of the plane holds input row r * stride + offset.
  const int64_t offset = first_row * params_.stride_h + phase.row - params_.pad_top;
  PlaneCopy copy = {};
  copy.before = std::min(rows, divide_up(std::max<int64_t>(0, -offset), params_.stride_h));
  const int64_t below = divide_up(std::max<int64_t>(0, in_h_ - offset), params_.stride_h);
  copy.inside = begin < end ? std::max<int64_t>(0, std::min(rows, below) - copy.before) : 0;
  copy.after = rows - copy.before - copy.inside;
  const int64_t row = offset + copy.before * params_.stride_h;
  const int64_t column =
      (first_column + begin) * params_.stride_w + phase.column - params_.pad_left;
  copy.src = copy.inside ? src + row * in_w_ + column : src;
  copy.src_step = params_.stride_h * in_w_;
  copy.zeros = begin;
  copy.elements = end - begin;
  copy.pitch = pitch;
  copy.stride = params_.stride_w;
  // The phases of a row share its lines.
  copy.next = index % column_phases_ == 0 ? in_h_ * in_w_ : 0;
  return copy;
}

}  // namespace sparsepass
