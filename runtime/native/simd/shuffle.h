// Shuffles of vectors that have a fixed pattern: the moves behind strided loads and transpositions.
//
// For kernels/*.cc, with the same rules as vector.h.
#ifndef SPARSEPASS_SIMD_SHUFFLE_H_
#define SPARSEPASS_SIMD_SHUFFLE_H_

#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

#if SPARSEPASS_LANES == 16
#define SPARSEPASS_FOR_LANES(lane)                                                          \
  lane(0), lane(1), lane(2), lane(3), lane(4), lane(5), lane(6), lane(7), lane(8), lane(9), \
      lane(10), lane(11), lane(12), lane(13), lane(14), lane(15)
#elif SPARSEPASS_LANES == 8
#define SPARSEPASS_FOR_LANES(lane) \
  lane(0), lane(1), lane(2), lane(3), lane(4), lane(5), lane(6), lane(7)
#else
#define SPARSEPASS_FOR_LANES(lane) lane(0), lane(1), lane(2), lane(3)
#endif

// Every second element of a followed by b: the even ones go to a, the odd ones to b.
static inline void unzip(vf& a, vf& b) {
#define SPARSEPASS_EVEN(i) 2 * (i)
#define SPARSEPASS_ODD(i) 2 * (i) + 1
  vf even = __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(SPARSEPASS_EVEN));
  b = __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(SPARSEPASS_ODD));
  a = even;
#undef SPARSEPASS_EVEN
#undef SPARSEPASS_ODD
}

// The inverse of unzip: a and b become a[0], b[0], a[1], b[1], ...
static inline void zip(vf& a, vf& b) {
#define SPARSEPASS_LOW(i) ((i) % 2 ? kLanes : 0) + (i) / 2
#define SPARSEPASS_HIGH(i) ((i) % 2 ? kLanes : 0) + (i) / 2 + kLanes / 2
  vf low = __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(SPARSEPASS_LOW));
  b = __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(SPARSEPASS_HIGH));
  a = low;
#undef SPARSEPASS_LOW
#undef SPARSEPASS_HIGH
}

// v[1], v[2], ..., next.
static inline vf shift_in(vf v, float next) {
#define SPARSEPASS_NEXT(i) (i) + 1
  return __builtin_shufflevector(v, splat(next), SPARSEPASS_FOR_LANES(SPARSEPASS_NEXT));
#undef SPARSEPASS_NEXT
}

// Transposes, of four rows, the squares of four by four elements that lie behind each other.  Every
// step is one instruction.
static inline void transpose_squares(vf (&rows)[4]) {
#define SPARSEPASS_PAIRS(i) ((i) % 2 ? kLanes : 0) + (i) / 4 * 4 + (i) % 4 / 2
#define SPARSEPASS_LAST_PAIRS(i) SPARSEPASS_PAIRS(i) + 2
#define SPARSEPASS_HALVES(i) ((i) % 4 / 2 ? kLanes : 0) + (i) / 4 * 4 + (i) % 2
#define SPARSEPASS_LAST_HALVES(i) SPARSEPASS_HALVES(i) + 2
#define SPARSEPASS_TAKE(a, b, lane) __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(lane))
  const vf a = SPARSEPASS_TAKE(rows[0], rows[1], SPARSEPASS_PAIRS);
  const vf b = SPARSEPASS_TAKE(rows[0], rows[1], SPARSEPASS_LAST_PAIRS);
  const vf c = SPARSEPASS_TAKE(rows[2], rows[3], SPARSEPASS_PAIRS);
  const vf d = SPARSEPASS_TAKE(rows[2], rows[3], SPARSEPASS_LAST_PAIRS);
  rows[0] = SPARSEPASS_TAKE(a, c, SPARSEPASS_HALVES);
  rows[1] = SPARSEPASS_TAKE(a, c, SPARSEPASS_LAST_HALVES);
  rows[2] = SPARSEPASS_TAKE(b, d, SPARSEPASS_HALVES);
  rows[3] = SPARSEPASS_TAKE(b, d, SPARSEPASS_LAST_HALVES);
#undef SPARSEPASS_PAIRS
#undef SPARSEPASS_LAST_PAIRS
#undef SPARSEPASS_HALVES
#undef SPARSEPASS_LAST_HALVES
#undef SPARSEPASS_TAKE
}

// Exchanges the elements of a whose index has bit `kBit` with those of b that have it not.
template <int kBit>
static inline void exchange(vf& a, vf& b) {
#define SPARSEPASS_UPPER(i) ((i) & kBit ? kLanes + (i) - kBit : (i))
#define SPARSEPASS_LOWER(i) ((i) & kBit ? kLanes + (i) : (i) + kBit)
  vf upper = __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(SPARSEPASS_UPPER));
  b = __builtin_shufflevector(a, b, SPARSEPASS_FOR_LANES(SPARSEPASS_LOWER));
  a = upper;
#undef SPARSEPASS_UPPER
#undef SPARSEPASS_LOWER
}

template <int kBit>
static inline void exchange_rows(vf (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; ++i) {
    if (!(i & kBit)) exchange<kBit>(rows[i], rows[i + kBit]);
  }
}

// Transposes a square of kLanes rows.
static inline void transpose(vf (&rows)[kLanes]) {
  for (int i = 0; i < kLanes; i += 4) {
    vf four[4] = {rows[i], rows[i + 1], rows[i + 2], rows[i + 3]};
    transpose_squares(four);
    for (int k = 0; k < 4; ++k) rows[i + k] = four[k];
  }
#if SPARSEPASS_LANES >= 8
  exchange_rows<4>(rows);
#endif
#if SPARSEPASS_LANES >= 16
  exchange_rows<8>(rows);
#endif
}

// The first `count` elements at p, fewer than kLanes, then zeros; nothing else is read.
static inline vf load_first(const float* p, int64_t count) {
#if SPARSEPASS_LANES == 16
  return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif SPARSEPASS_LANES == 8
  static const int32_t kept[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  const __m256i mask = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kept + 8 - count));
  return (vf)_mm256_maskload_ps(p, mask);
#else
  vf v = {};
  for (int64_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}

#if SPARSEPASS_LANES < 16
// Stores the first `count` of four elements, fewer than four.
static inline void store_first_of_four(float* p, float __attribute__((vector_size(16))) v,
                                       int64_t count) {
  if (count & 2) {
    std::memcpy(p, &v, 2 * sizeof(float));
    v = __builtin_shufflevector(v, v, 2, 3, 2, 3);
    p += 2;
  }
  if (count & 1) *p = v[0];
}
#endif

// Stores the first `count` elements of v, fewer than kLanes.
static inline void store_first(float* p, vf v, int64_t count) {
#if SPARSEPASS_LANES == 16
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#elif SPARSEPASS_LANES == 8
  // In halves: storing with a mask takes 14 cycles on some processors.
  auto part = __builtin_shufflevector(v, v, 0, 1, 2, 3);
  if (count & 4) {
    std::memcpy(p, &part, sizeof(part));
    part = __builtin_shufflevector(v, v, 4, 5, 6, 7);
    p += 4;
  }
  store_first_of_four(p, part, count);
#else
  store_first_of_four(p, v, count);
#endif
}

// The same for `count` elements or a whole vector, if those are more.
static inline vf load_up_to(const float* p, int64_t count) {
  return count >= kLanes ? load(p) : load_first(p, count);
}

static inline void store_up_to(float* p, vf v, int64_t count) {
  if (count >= kLanes) {
    store(p, v);
  } else {
    store_first(p, v, count);
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_SHUFFLE_H_
