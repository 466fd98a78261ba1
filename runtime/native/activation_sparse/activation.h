// Activation-sparse convolution: only the non-zeros of the input are multiplied (CPO and CPS, arXiv
// 2104.08314).  An image with too few zeros for the layer takes the dense path.
#ifndef SPARSEPASS_ACTIVATION_SPARSE_ACTIVATION_H_
#define SPARSEPASS_ACTIVATION_SPARSE_ACTIVATION_H_

#include "conv/conv.h"

namespace sparsepass {

ConvFactory make_cpo;  // stores a value and a 16-bit position for each non-zero
ConvFactory make_cps;  // stores a value for each non-zero, a 32-bit word for each group with one

}  // namespace sparsepass

#endif  // SPARSEPASS_ACTIVATION_SPARSE_ACTIVATION_H_
