// One 2-D convolution.
#ifndef SPARSEPASS_BASE_CONVOLUTION_H_
#define SPARSEPASS_BASE_CONVOLUTION_H_

#include <cstdint>

namespace sparsepass {

// Attributes of the convolution; pads are resolved (never auto_pad).
struct ConvParams {
  int64_t filters, channels_per_group, groups;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t dilation_h, dilation_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;

  int64_t channels() const { return channels_per_group * groups; }
  int64_t taps() const { return channels_per_group * kernel_h * kernel_w; }
  int64_t out_h(int64_t in_h) const {
    return (in_h + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  int64_t out_w(int64_t in_w) const {
    return (in_w + pad_left + pad_right - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
};

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_CONVOLUTION_H_
