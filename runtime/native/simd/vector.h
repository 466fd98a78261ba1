// One vector type for the instruction set this file is compiled for.
//
// Files in kernels/ are compiled once per instruction set, with SPARSEPASS_ISA naming the
// namespace (baseline, avx2, avx512) and the compiler flags to match.  They must not use library
// templates or inline functions with external linkage: the linker could keep the copy that this
// machine cannot run.  Everything below is therefore static.
#ifndef SPARSEPASS_SIMD_VECTOR_H_
#define SPARSEPASS_SIMD_VECTOR_H_

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define SPARSEPASS_LANES 16
#elif defined(__AVX2__)
#define SPARSEPASS_LANES 8
#else
#define SPARSEPASS_LANES 4
#endif

// What is kept in registers must not cross a call.
#define SPARSEPASS_INLINE inline __attribute__((always_inline))

namespace sparsepass {
namespace SPARSEPASS_ISA {

constexpr int kLanes = SPARSEPASS_LANES;

typedef float vf __attribute__((vector_size(4 * SPARSEPASS_LANES)));
typedef float vf_unaligned
    __attribute__((vector_size(4 * SPARSEPASS_LANES), aligned(4), may_alias));

static inline vf load(const float* p) { return *reinterpret_cast<const vf_unaligned*>(p); }
static inline void store(float* p, vf v) { *reinterpret_cast<vf_unaligned*>(p) = v; }
static inline vf splat(float v) {
  vf zero = {};
  return v - zero;
}
// A NaN in the second operand is kept, so that clamping does not hide it.  GCC makes two
// instructions of the comparison that is one.
#if defined(__AVX512F__)
static inline vf max(vf a, vf b) { return (vf)_mm512_maskz_max_ps(0xFFFF, (__m512)a, (__m512)b); }
static inline vf min(vf a, vf b) { return (vf)_mm512_maskz_min_ps(0xFFFF, (__m512)a, (__m512)b); }
#elif defined(__AVX2__)
static inline vf max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline vf min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline vf max(vf a, vf b) { return a > b ? a : b; }
static inline vf min(vf a, vf b) { return a < b ? a : b; }
#endif

// Of sizes; those of the library are templates.
static inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static inline vf sqrt(vf v) {
#if defined(__AVX512F__)
  // The form without a mask makes GCC 12 warn of an uninitialised value.
  return (vf)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)v);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)v);
#elif defined(__x86_64__)
  return (vf)_mm_sqrt_ps((__m128)v);
#else
  for (int i = 0; i < kLanes; ++i) v[i] = __builtin_sqrtf(v[i]);
  return v;
#endif
}

// p[index[0]], p[index[1]], ...
static inline vf gather(const float* p, const uint16_t* index) {
#if defined(__AVX512F__)
  const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(index));
  // The forms without a mask make GCC 12 warn of an uninitialised value.
  const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xFFFF, narrow);
  return (vf)_mm512_mask_i32gather_ps(_mm512_setzero_ps(), 0xFFFF, wide, p, 4);
#elif defined(__AVX2__)
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(index));
  return (vf)_mm256_i32gather_ps(p, _mm256_cvtepu16_epi32(narrow), 4);
#else
  vf v;
  for (int i = 0; i < kLanes; ++i) v[i] = p[index[i]];
  return v;
#endif
}

static inline bool is_zero(vf v) {
  for (int i = 0; i < kLanes; ++i) {
    if (v[i] != 0.0f) return false;
  }
  return true;
}

// a * b + c.  Contraction makes this one instruction where the machine has it.
static inline vf fma(vf a, vf b, vf c) { return a * b + c; }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_VECTOR_H_
