#include "base/cache_lines.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace sparsepass {

#if defined(__x86_64__)

namespace {

constexpr int64_t kLineFloats = 16;

bool has_clflushopt() {
  unsigned a, b = 0, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_CLFLUSHOPT);
}

__attribute__((target("clflushopt"))) void flush(float* first, int64_t rows, int64_t stride,
                                                 int64_t floats) {
  for (int64_t r = 0; r < rows; ++r, first += stride) {
    for (int64_t i = 0; i < floats; i += kLineFloats) _mm_clflushopt(first + i);
  }
}

}  // namespace

void flush_lines(float* first, int64_t rows, int64_t stride, int64_t floats) {
  static const bool can = has_clflushopt();
  if (can) flush(first, rows, stride, floats);
}

__attribute__((target("prfchw"))) void prefetch_for_write(float* first, int64_t rows,
                                                          int64_t stride) {
  for (int64_t r = 0; r < rows; ++r, first += stride) __builtin_prefetch(first, 1, 3);
}

#else

void flush_lines(float*, int64_t, int64_t, int64_t) {}
void prefetch_for_write(float*, int64_t, int64_t) {}

#endif

}  // namespace sparsepass
