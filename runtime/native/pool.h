// Max pooling of maps in NCHW, as ONNX defines MaxPool with explicit padding.
#ifndef SPARSEPASS_POOL_H_
#define SPARSEPASS_POOL_H_

#include <cstdint>
#include <string>

#include "conv.h"

namespace sparsepass {

struct PoolParams {
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;

  int64_t out_h(int64_t in_h) const {
    return (in_h + pad_top + pad_bottom - kernel_h) / stride_h + 1;
  }
  int64_t out_w(int64_t in_w) const {
    return (in_w + pad_left + pad_right - kernel_w) / stride_w + 1;
  }
};

struct PoolShape {
  int64_t planes, in_h, in_w;  // planes: of all channels of all images
};

// Empty, or what is wrong with the attributes.
std::string check_pool(const PoolParams& params);

// Empty, or why a map of this size has no output.
std::string check_pool_input(const PoolParams& params, const PoolShape& shape);

// x is (planes, in_h, in_w), y is (planes, out_h, out_w).
void run_max_pool(const PoolParams& params, const PoolShape& shape, const float* x, float* y,
                  const KernelTable& kernels, Host& host);

}  // namespace sparsepass

#endif  // SPARSEPASS_POOL_H_
