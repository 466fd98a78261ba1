// Signature of the micro-kernel of depthwise convolution.
#ifndef SPARSEPASS_KERNELS_DEPTHWISE_KERNEL_H_
#define SPARSEPASS_KERNELS_DEPTHWISE_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// Filters [first, last) of one image.  Filter f multiplies input channel f / multiplier.
struct DepthwiseJob {
  const float* x;         // of the image
  const float* residual;  // of the image, null: none; laid out as y
  float* y;               // of the image
  const float* weight;    // (filters, kernel_h, kernel_w)
  const float* bias;
  int64_t first, last, multiplier;
  int64_t in_h, in_w, out_h, out_w;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t dilation_h, dilation_w;
  int64_t pad_top, pad_left;
  int64_t cached_floats;  // of input that stay in cache until all that reads them is done
  Epilogue epilogue;
};
using DepthwiseKernel = void(const DepthwiseJob& job);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_DEPTHWISE_KERNEL_H_
