// Packing the non-zeros of one vector to the front, for the instruction set of this file.
#ifndef SPARSEPASS_SIMD_COMPRESS_H_
#define SPARSEPASS_SIMD_COMPRESS_H_

#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// Bit i is set where lane i is not zero; a NaN is not zero, -0.0 is.  Its bits tell: whether floats
// count denormals as zero is set for each thread.
static inline uint32_t nonzero_mask(vf v) {
#if SPARSEPASS_LANES == 16
  return _mm512_test_epi32_mask((__m512i)v, _mm512_set1_epi32(0x7FFFFFFF));
#elif SPARSEPASS_LANES == 8
  // The sign is shifted out.
  const __m256i zero = _mm256_cmpeq_epi32(_mm256_slli_epi32((__m256i)v, 1), _mm256_setzero_si256());
  return 0xFF & ~static_cast<uint32_t>(_mm256_movemask_ps((__m256)zero));
#else
  typedef uint32_t Bits __attribute__((vector_size(16)));
  const Bits b = (Bits)v << 1;
  return (b[0] != 0) | (b[1] != 0) << 1 | (b[2] != 0) << 2 | (b[3] != 0) << 3;
#endif
}

#if SPARSEPASS_LANES == 8
// Byte i of order[mask] is the lane of the i-th set bit of mask.
struct LaneOrder {
  uint64_t order[256];
  constexpr LaneOrder() : order() {
    for (int mask = 0; mask < 256; ++mask) {
      int next = 0;
      for (int lane = 0; lane < 8; ++lane) {
        if (mask >> lane & 1) order[mask] |= uint64_t(lane) << 8 * next++;
      }
    }
  }
};
static constexpr LaneOrder kLaneOrder;
#endif

// Writes the lanes of v named by mask to `values`; kLanes values are overwritten.
static inline void compress(vf v, uint32_t mask, float* values) {
#if SPARSEPASS_LANES == 16
  // Into a register first: compressing straight to memory is many times slower on Zen 4.
  store(values, (vf)_mm512_maskz_compress_ps(static_cast<__mmask16>(mask), (__m512)v));
#elif SPARSEPASS_LANES == 8
  const __m256i order =
      _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(kLaneOrder.order[mask])));
  store(values, (vf)_mm256_permutevar8x32_ps((__m256)v, order));
#else
  for (int lane = 0; lane < kLanes; ++lane) {
    *values = v[lane];
    values += mask >> lane & 1;
  }
#endif
}

// Writes first + lane, modulo 2^16, for the lanes named by mask; kLanes entries are overwritten.
static inline void compress_positions(uint32_t first, uint32_t mask, uint16_t* index) {
#if SPARSEPASS_LANES == 16
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i position = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(first)));
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(index),
      _mm512_maskz_cvtepi32_epi16(
          0xFFFF, _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), position)));
#elif SPARSEPASS_LANES == 8
  const __m128i lane =
      _mm_cvtepu8_epi16(_mm_cvtsi64_si128(static_cast<int64_t>(kLaneOrder.order[mask])));
  const __m128i position = _mm_add_epi16(lane, _mm_set1_epi16(static_cast<int16_t>(first)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(index), position);
#else
  for (int lane = 0; lane < kLanes; ++lane) {
    *index = static_cast<uint16_t>(first + static_cast<uint32_t>(lane));
    index += mask >> lane & 1;
  }
#endif
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_SIMD_COMPRESS_H_
