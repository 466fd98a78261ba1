// Signature of the micro-kernel that keeps the largest of every few channels.
#ifndef SPARSEPASS_KERNELS_LARGEST_KERNEL_H_
#define SPARSEPASS_KERNELS_LARGEST_KERNEL_H_

#include <cstdint>

namespace sparsepass {

// `block` channels of `count` neighbouring pixels; channels lie `plane` floats apart.  A value
// stays where no `kept` others of its pixel are larger in magnitude, and is zero elsewhere.
struct LargestJob {
  const float* x;
  float* y;
  int64_t count, plane;
  int64_t kept, block;
};
using LargestKernel = void(const LargestJob& job);

// The most that is kept of a block.
constexpr int64_t kMostKept = 8;

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_LARGEST_KERNEL_H_
