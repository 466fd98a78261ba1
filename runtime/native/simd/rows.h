// Copying rows of floats, or every second float of them.
//
// For kernels/*.cc, with the same rules as vector.h.
#ifndef SPARSEPASS_SIMD_ROWS_H_
#define SPARSEPASS_SIMD_ROWS_H_

#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// kLanes elements of src, each the second one after that before; nothing behind the last is read.
static inline vf load_second(const float* src) {
#define SPARSEPASS_SECOND(i) (2 * (i) < kLanes ? 2 * (i) : 2 * (i) + 1)
  return __builtin_shufflevector(load(src), load(src + kLanes - 1),
                                 SPARSEPASS_FOR_LANES(SPARSEPASS_SECOND));
#undef SPARSEPASS_SECOND
}

// dst[j] = src[j * kStride] for a stride of 1 or 2.  The last vector ends with the last element,
// over the one before.
template <int kStride>
static inline void copy_row(const float* src, int64_t count, float* dst) {
  const auto at = [&](int64_t j) {
    return kStride == 1 ? load(src + j) : load_second(src + 2 * j);
  };
  if (count >= kLanes) {
    const int64_t last = count - kLanes;
    for (int64_t j = 0; j < last; j += kLanes) store(dst + j, at(j));
    store(dst + last, at(last));
  } else if (kStride == 1) {
    store_first(dst, load_first(src, count), count);
  } else {
    for (int64_t j = 0; j < count; ++j) dst[j] = src[2 * j];
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_ROWS_H_
