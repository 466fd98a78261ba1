// Memory-efficient convolution (Cho and Brand, ICML 2017, arXiv 1706.06873): the input is lowered
// along rows only, and output rows multiply overlapping windows of the lowered matrix.
#ifndef SPARSEPASS_DENSE_MEC_H_
#define SPARSEPASS_DENSE_MEC_H_

#include "conv/conv.h"

namespace sparsepass {

// For kernels higher than their stride: others have no overlap to save.
ConvFactory make_mec;

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_MEC_H_
