// Convolution as a matrix product over the lowered input, one column per output position (the
// baseline of the papers), lowered a block that fits the cache at a time.
#ifndef SPARSEPASS_DENSE_IM2COL_H_
#define SPARSEPASS_DENSE_IM2COL_H_

#include "conv/conv.h"

namespace sparsepass {

ConvFactory make_im2col;

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_IM2COL_H_
