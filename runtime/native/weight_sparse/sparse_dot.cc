#include "weight_sparse/sparse_dot.h"

#include <algorithm>

namespace sparsepass {

void SparseDot::init(const RowRange& weight, const std::vector<int64_t>& offset,
                     const Tuning& tuning) {
  rows_ = weight.rows;
  // Within the slice indices have 16 bits.
  slice_ = std::min<int64_t>(floats_in(tuning.dot_slice_first_level, caches().data), 1 << 16);
  slices_ = offset.empty() ? 0 : offset.back() / slice_ + 1;
  start_.assign(slices_ * rows_ + 1, 0);
  const auto place = [&](int64_t row, int32_t tap) { return offset[tap] / slice_ * rows_ + row; };
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t e = weight.row_start[row]; e < weight.row_start[row + 1]; ++e) {
      ++start_[place(row, weight.tap[e]) + 1];
    }
  }
  for (size_t i = 1; i < start_.size(); ++i) start_[i] += start_[i - 1];
  values_.resize(weight.count());
  index_.resize(weight.count());
  std::vector<int64_t> next(start_.begin(), start_.end());
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t e = weight.row_start[row]; e < weight.row_start[row + 1]; ++e) {
      const int64_t at = next[place(row, weight.tap[e])]++;
      values_[at] = weight.value[e];
      index_[at] = static_cast<uint16_t>(offset[weight.tap[e]] % slice_);
    }
  }
}

void SparseDot::add_products(const float* x, int64_t first, int64_t last, float* y,
                             const KernelTable& kernels) const {
  for (int64_t slice = 0; slice < slices_; ++slice) {
    SparseDots dots;
    dots.x = x + slice * slice_;
    dots.values = values_.data();
    dots.index = index_.data();
    dots.start = start_.data() + slice * rows_ + first;
    dots.rows = last - first;
    dots.y = y + first;
    kernels.sparse_dots(dots);
  }
}

}  // namespace sparsepass
