// Winograd convolution F(2 x 2, 3 x 3) and F(4 x 4, r x r) for r from 2 to 4 (Lavin and Gray, arXiv
// 1509.09308), for strided convolution phase by phase (Huang et al., arXiv 2002.00552).
#ifndef SPARSEPASS_DENSE_WINOGRAD_H_
#define SPARSEPASS_DENSE_WINOGRAD_H_

#include "conv/conv.h"

namespace sparsepass {

// For dilation 1, strides of 1, 2 or 4, and kernels of 3 (winograd4: 2, 3 or 4) times the stride,
// or up to a stride less one smaller.
ConvFactory make_winograd2, make_winograd4;

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_WINOGRAD_H_
