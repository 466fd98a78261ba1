// Error of an output over the standard deviation of the outputs, rectified normal input, weight
// with variance 2 / (9 channels), against a sum in double precision, largest and mean:
//
//   channels   plain sum in float    F(2 x 2)            F(4 x 4)
//   64         4.2e-6  2.1e-7        1.3e-6  1.7e-7      4.6e-6  4.8e-7
//   512        7.8e-6  5.8e-7        3.3e-6  4.5e-7      1.5e-5  1.3e-6
//
// The usual points 0, 1, -1, 2, -2 make the largest error of F(4 x 4) four times as large as
// 0, 3/4, -3/4, 3/2, -3/2 do, whose powers and products are exact in float as well.  So are those
// of 1/4, -1/4, 7/8, -7/8, 7/4, -7/4 for four taps, where 1/2, 1 and 2 double the error, and those
// of 1/2, -1/2, 5/4, -5/4 for two, where 0, 1, -1 and any other make three times the largest error.
#include "dense/winograd_variant.h"

#include "base/arithmetic.h"

namespace sparsepass {

double WinogradVariant::transform(int64_t row, int64_t tap) const {
  if (row == tile() - 1) return tap == taps - 1;
  double value = 1;
  for (int64_t i = 0; i < tap; ++i) value *= points[row];
  for (int64_t i = 0; i < tile() - 1; ++i) {
    if (i != row) value /= points[row] - points[i];
  }
  return value;
}

const WinogradVariant kF23 = {
    2, 3, {0, 1, -1}, &KernelTable::winograd_f23_input, &KernelTable::winograd_f23_output};
const WinogradVariant kF42 = {4,
                              2,
                              {1. / 2, -1. / 2, 5. / 4, -5. / 4},
                              &KernelTable::winograd_f42_input,
                              &KernelTable::winograd_f42_output};
const WinogradVariant kF43 = {4,
                              3,
                              {0, 3. / 4, -3. / 4, 3. / 2, -3. / 2},
                              &KernelTable::winograd_f43_input,
                              &KernelTable::winograd_f43_output};
const WinogradVariant kF44 = {4,
                              4,
                              {1. / 4, -1. / 4, 7. / 8, -7. / 8, 7. / 4, -7. / 4},
                              &KernelTable::winograd_f44_input,
                              &KernelTable::winograd_f44_output};

const WinogradVariant* variant_for(const ConvParams& p,
                                   std::initializer_list<const WinogradVariant*> variants) {
  const int64_t stride = p.stride_h;
  if (stride != 1 && stride != 2 && stride != 4) return nullptr;
  if (p.stride_w != stride || p.dilation_h != 1 || p.dilation_w != 1) return nullptr;
  const int64_t taps = divide_up(p.kernel_h, stride);
  if (divide_up(p.kernel_w, stride) != taps) return nullptr;
  for (const WinogradVariant* variant : variants) {
    if (variant->taps == taps) return variant;
  }
  return nullptr;
}

WinogradLayer::WinogradLayer(const WinogradVariant& v, const ConvParams& p,
                             const KernelTable& kernels)
    : variant(v),
      params(p),
      tuning(kernels.tuning),
      lanes(kernels.gemm_lanes()),
      stride(p.stride_h),
      channels(p.channels_per_group * stride * stride),
      filters(p.filters / p.groups),
      few_channels(channels < tuning.winograd_few_channels),
      pass_filters(few_channels ? tuning.winograd_short_pass_filters
                                : tuning.winograd_pass_filters) {}

}  // namespace sparsepass
