// One vector type for the instruction set this file is compiled for.
//
// Files in kernels/ are compiled once per instruction set, with SPARSEPASS_ISA naming the
// namespace (baseline, avx2, avx512) and the compiler flags to match.  They must not use library templates or
// inline functions with external linkage: the linker could keep the copy that this machine cannot
// run.  Everything below is therefore static.
#ifndef SPARSEPASS_SIMD_H_
#define SPARSEPASS_SIMD_H_

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

namespace sparsepass {
namespace SPARSEPASS_ISA {

constexpr int kLanes = SPARSEPASS_LANES;

typedef float vf __attribute__((vector_size(4 * SPARSEPASS_LANES)));
typedef float vf_unaligned __attribute__((vector_size(4 * SPARSEPASS_LANES), aligned(4), may_alias));

static inline vf load(const float* p) { return *reinterpret_cast<const vf_unaligned*>(p); }
static inline void store(float* p, vf v) { *reinterpret_cast<vf_unaligned*>(p) = v; }
static inline vf splat(float v) {
  vf zero = {};
  return v - zero;
}
// A NaN in the second operand is kept, so that clamping does not hide it.
static inline vf max(vf a, vf b) { return a > b ? a : b; }
static inline vf min(vf a, vf b) { return a < b ? a : b; }

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

// a * b + c.  Contraction makes this one instruction where the machine has it.
static inline vf fma(vf a, vf b, vf c) { return a * b + c; }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_H_
