// One max pooling of maps in NCHW.
#ifndef SPARSEPASS_BASE_POOLING_H_
#define SPARSEPASS_BASE_POOLING_H_

#include <cstdint>

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

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_POOLING_H_
