// Four floats at a time: the parts of a vector that shuffles keep together.
//
// For kernels/*.cc, with the same rules as vector.h.
#ifndef SPARSEPASS_SIMD_QUADS_H_
#define SPARSEPASS_SIMD_QUADS_H_

#include "simd/shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

typedef float Quad __attribute__((vector_size(16)));
typedef float QuadUnaligned __attribute__((vector_size(16), aligned(4), may_alias));
constexpr int kQuads = kLanes / 4;

static inline Quad load_quad(const float* p) { return *reinterpret_cast<const QuadUnaligned*>(p); }
static inline void store_quad(float* p, Quad v) { *reinterpret_cast<QuadUnaligned*>(p) = v; }

// The quads at these addresses as one vector.
#if SPARSEPASS_LANES == 4
static inline vf load_quads(const float* a) { return (vf)load_quad(a); }
#elif SPARSEPASS_LANES == 8
// By intrinsics: of two generic loads GCC makes three instructions, of one that is repeated two.
static inline vf load_quads(const float* a, const float* b) {
  return (vf)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
}
#else
static inline vf load_quads(const float* a, const float* b, const float* c, const float* d) {
  typedef float Pair __attribute__((vector_size(32)));
  const Pair low = __builtin_shufflevector(load_quad(a), load_quad(b), 0, 1, 2, 3, 4, 5, 6, 7);
  const Pair high = __builtin_shufflevector(load_quad(c), load_quad(d), 0, 1, 2, 3, 4, 5, 6, 7);
  return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
#endif

// The quad at p in every part.
static inline vf repeat_quad(const float* p) {
#if SPARSEPASS_LANES == 4
  return load_quads(p);
#elif SPARSEPASS_LANES == 8
  return (vf)_mm256_broadcast_ps(reinterpret_cast<const __m128*>(p));
#else
  return load_quads(p, p, p, p);
#endif
}

// Element kAt of each quad in all of it.
template <int kAt>
static inline vf spread(vf v) {
#define SPARSEPASS_SAME(i) ((i) / 4 * 4 + kAt)
  return __builtin_shufflevector(v, v, SPARSEPASS_FOR_LANES(SPARSEPASS_SAME));
#undef SPARSEPASS_SAME
}

// The quads at rows[0], rows[4], rows[8], ..., all from `at` on.
static inline vf load_quads(const float* const* rows, int64_t at) {
#if SPARSEPASS_LANES == 4
  return load_quads(rows[0] + at);
#elif SPARSEPASS_LANES == 8
  return load_quads(rows[0] + at, rows[4] + at);
#else
  return load_quads(rows[0] + at, rows[4] + at, rows[8] + at, rows[12] + at);
#endif
}

// The quads at p, p + step, p + 2 step, ...
static inline vf load_quads(const float* p, int64_t step) {
  const float* rows[kLanes];
  for (int q = 0; q < kQuads; ++q) rows[4 * q] = p + q * step;
  return load_quads(rows, 0);
}

// Cuts kLanes pieces of kStep floats, a power of two, out of a line: element i of each goes to
// v[i].
template <int kStep>
static inline void load_pieces(const float* line, vf (&v)[kStep]) {
  // With 16 lanes one instruction shuffles two vectors in any way, but joining quads takes four.
  if constexpr (kStep % 4 == 0 && kLanes < 16) {
    for (int i = 0; i < kStep; i += 4) {
      vf rows[4];
      for (int k = 0; k < 4; ++k) rows[k] = load_quads(line + k * kStep + i, 4 * kStep);
      transpose_squares(rows);
      for (int k = 0; k < 4; ++k) v[i + k] = rows[k];
    }
  } else {
    for (int i = 0; i < kStep; ++i) v[i] = load(line + i * kLanes);
    for (int distance = 1; distance < kStep; distance *= 2) {
      for (int i = 0; i < kStep; ++i) {
        if ((i & distance) == 0) unzip(v[i], v[i + distance]);
      }
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_QUADS_H_
