// Vectors of 4, 8 and 16 floats that read and write parts of themselves, for maps narrower than a
// register and for the edges of any map.
//
// For kernels/*.cc, with the same rules as vector.h.  Lanes that a mask leaves out are neither read
// nor written, so they may lie outside the tensor.
#ifndef SPARSEPASS_SIMD_LANES_H_
#define SPARSEPASS_SIMD_LANES_H_

#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

SPARSEPASS_INLINE static int32_t clamp_lane(int64_t lane) {
  return lane < 0 ? 0 : lane > 16 ? 16 : static_cast<int32_t>(lane);
}

// Each type has lanes(first, last): the mask of lanes [first, last), which may be empty or reach
// beyond the vector on both sides.
#if defined(__AVX2__) && !defined(__AVX512F__)

#define SPARSEPASS_MASKED(bits, prefix, type, ...)                                          \
  using Mask = type##i;                                                                     \
  SPARSEPASS_INLINE static Mask lanes(int64_t first, int64_t last) {                        \
    typedef int32_t Lanes __attribute__((vector_size(4 * kCount)));                         \
    const Lanes lane = {__VA_ARGS__};                                                       \
    return (Mask)((lane >= clamp_lane(first)) & (lane < clamp_lane(last)));                 \
  }                                                                                         \
  static Vector load(const float* p, Mask m) { return (Vector)prefix##_maskload_ps(p, m); } \
  static void store(float* p, Mask m, Vector v) { prefix##_maskstore_ps(p, m, (type)v); }

#else

// Bits of lanes that a type does not have mean nothing.
SPARSEPASS_INLINE static uint32_t lane_bits(int64_t first, int64_t last) {
  return ((1u << clamp_lane(last)) - 1) & ~((1u << clamp_lane(first)) - 1);
}

#if defined(__AVX512F__)

#define SPARSEPASS_MASKED(bits, prefix, type, ...)                                             \
  using Mask = __mmask##bits;                                                                  \
  SPARSEPASS_INLINE static Mask lanes(int64_t first, int64_t last) {                           \
    return static_cast<Mask>(lane_bits(first, last));                                          \
  }                                                                                            \
  static Vector load(const float* p, Mask m) { return (Vector)prefix##_maskz_loadu_ps(m, p); } \
  static void store(float* p, Mask m, Vector v) { prefix##_mask_storeu_ps(p, m, (type)v); }

#else

#define SPARSEPASS_MASKED(bits, prefix, type, ...)                          \
  using Mask = uint32_t;                                                    \
  SPARSEPASS_INLINE static Mask lanes(int64_t first, int64_t last) {        \
    return lane_bits(first, last);                                          \
  }                                                                         \
  __attribute__((noinline)) static Vector load(const float* p, Mask m) {    \
    Vector v = {};                                                          \
    for (int i = 0; i < kCount; ++i) {                                      \
      if (m >> i & 1) v[i] = p[i];                                          \
    }                                                                       \
    return v;                                                               \
  }                                                                         \
  __attribute__((noinline)) static void store(float* p, Mask m, Vector v) { \
    for (int i = 0; i < kCount; ++i) {                                      \
      if (m >> i & 1) p[i] = v[i];                                          \
    }                                                                       \
  }

#endif
#endif

#define SPARSEPASS_VECTOR(count)                                                          \
  static constexpr int kCount = count;                                                    \
  typedef float Vector __attribute__((vector_size(4 * count)));                           \
  typedef float Unaligned __attribute__((vector_size(4 * count), aligned(4), may_alias)); \
  static Vector load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }   \
  static void store(float* p, Vector v) { *reinterpret_cast<Unaligned*>(p) = v; }         \
  static Vector splat(float v) { return v - Vector{}; }

struct Lanes4 {
  SPARSEPASS_VECTOR(4)
  SPARSEPASS_MASKED(8, _mm, __m128, 0, 1, 2, 3)
  // Every second element of a followed by b, from the first or the second on.
  static Vector even(Vector a, Vector b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6); }
  static Vector odd(Vector a, Vector b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7); }
  // a[1], a[2], ..., b[0].
  static Vector next(Vector a, Vector b) { return __builtin_shufflevector(a, b, 1, 2, 3, 4); }
  // The first lanes, and anything behind them.
  static Vector widen(Vector v) { return v; }
};

#if defined(__AVX2__)
struct Lanes8 {
  SPARSEPASS_VECTOR(8)
  SPARSEPASS_MASKED(8, _mm256, __m256, 0, 1, 2, 3, 4, 5, 6, 7)
  static Vector even(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
  }
  static Vector odd(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  }
  static Vector next(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 2, 3, 4, 5, 6, 7, 8);
  }
  static Vector widen(Lanes4::Vector v) { return (Vector)_mm256_castps128_ps256((__m128)v); }
};
#endif

#if defined(__AVX512F__)
struct Lanes16 {
  SPARSEPASS_VECTOR(16)
  SPARSEPASS_MASKED(16, _mm512, __m512, )
  static Vector even(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  }
  static Vector odd(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  }
  static Vector next(Vector a, Vector b) {
    return __builtin_shufflevector(a, b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  }
  static Vector widen(Lanes4::Vector v) { return (Vector)_mm512_castps128_ps512((__m128)v); }
};
using WidestLanes = Lanes16;
using NarrowLanes = Lanes8;
#elif defined(__AVX2__)
using WidestLanes = Lanes8;
using NarrowLanes = Lanes4;
#else
using WidestLanes = Lanes4;
using NarrowLanes = Lanes4;
#endif

#undef SPARSEPASS_VECTOR
#undef SPARSEPASS_MASKED

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_LANES_H_
