// Walking the non-zeros of a range of encoded pixels, for the instruction set of this file.
#ifndef SPARSEPASS_KERNELS_ACTIVATION_READER_H_
#define SPARSEPASS_KERNELS_ACTIVATION_READER_H_

#include "kernels/activation_kernel.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// Weights that are fetched while others are read: `floats` of them from `weight` on, in `steps`.
// Every step does the same: a branch would disturb those that the non-zeros decide.
class Fetch {
 public:
  SPARSEPASS_INLINE Fetch(const float* weight, int64_t floats, int64_t steps)
      : next_(reinterpret_cast<const char*>(weight)),
        bytes_(static_cast<int64_t>(sizeof(float)) * floats / steps),
        lines_(bytes_ / kLine + 1) {}

  SPARSEPASS_INLINE void step() {
    const char* line = next_;
    int64_t left = lines_;
    do {
      __builtin_prefetch(line, 0, 2);
      line += kLine;
    } while (--left != 0);
    next_ += bytes_;
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* next_;
  int64_t bytes_, lines_;
};

// Calls multiply(value, position - origin) for each non-zero of pixels [first, last).
template <bool kGrouped, class Multiply>
static inline __attribute__((always_inline)) void for_each_nonzero(const EncodedChunk& chunk,
                                                                   int64_t first, int64_t last,
                                                                   uint32_t origin,
                                                                   Multiply multiply) {
  const float* value = chunk.values + chunk.value_start[first];
  if (kGrouped) {
    const uint32_t* group = chunk.groups + chunk.group_start[first];
    const uint32_t* end = chunk.groups + chunk.group_start[last];
    for (; group != end; ++group) {
      const uint32_t start = static_cast<uint16_t>((*group >> 16) - origin / kGroup) * kGroup;
      for (uint32_t mask = *group & 0xFFFF; mask != 0; mask &= mask - 1) {
        multiply(*value++, start + static_cast<uint32_t>(__builtin_ctz(mask)));
      }
    }
  } else {
    const uint16_t* index = chunk.index + chunk.value_start[first];
    const uint16_t* end = chunk.index + chunk.value_start[last];
    for (; index != end; ++index, ++value) {
      multiply(*value, static_cast<uint16_t>(*index - origin));
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_ACTIVATION_READER_H_
