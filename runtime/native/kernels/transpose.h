// Transposition of a square of kLanes vectors, for the instruction set this file is compiled for.
#ifndef SPARSEPASS_KERNELS_TRANSPOSE_H_
#define SPARSEPASS_KERNELS_TRANSPOSE_H_

#include "simd.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// Columns of the two vectors that an exchange of rows `step` apart puts in the upper and lower row.
#define SP_UPPER(j, step) (((j) & (step)) ? kLanes + (j) - (step) : (j))
#define SP_LOWER(j, step) (((j) & (step)) ? kLanes + (j) : (j) + (step))
#define SP_FOUR(column, j, step) \
  column((j), step), column((j) + 1, step), column((j) + 2, step), column((j) + 3, step)
#if SPARSEPASS_LANES == 16
#define SP_ROW(column, step)                                                      \
  SP_FOUR(column, 0, step), SP_FOUR(column, 4, step), SP_FOUR(column, 8, step), \
      SP_FOUR(column, 12, step)
#elif SPARSEPASS_LANES == 8
#define SP_ROW(column, step) SP_FOUR(column, 0, step), SP_FOUR(column, 4, step)
#else
#define SP_ROW(column, step) SP_FOUR(column, 0, step)
#endif

template <int kStep>
static inline void exchange(vf* rows) {
  for (int i = 0; i < kLanes; ++i) {
    if (i & kStep) continue;
    vf a = rows[i], b = rows[i + kStep];
    rows[i] = __builtin_shufflevector(a, b, SP_ROW(SP_UPPER, kStep));
    rows[i + kStep] = __builtin_shufflevector(a, b, SP_ROW(SP_LOWER, kStep));
  }
}

static inline void transpose(vf* rows) {
#if SPARSEPASS_LANES > 8
  exchange<8>(rows);
#endif
#if SPARSEPASS_LANES > 4
  exchange<4>(rows);
#endif
  exchange<2>(rows);
  exchange<1>(rows);
}

#undef SP_ROW
#undef SP_FOUR
#undef SP_LOWER
#undef SP_UPPER

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_TRANSPOSE_H_
