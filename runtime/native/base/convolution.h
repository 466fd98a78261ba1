// One 2-D convolution and what follows its sums.
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

// Activations that are no clamp: v * clamp(v / 6 + 1 / 2, 0, 1), and v / (1 + e^-v).
enum class Curve : int32_t { none, hard_swish, silu };

// Most activations are a clamp after a leaky slope: y = clamp(v >= 0 ? v : slope * v, low, high).
// Identity has slope 1 and infinite bounds, Relu slope 1 and low 0.  A curve comes last.
struct Epilogue {
  float slope, low, high;
  Curve curve;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_CONVOLUTION_H_
