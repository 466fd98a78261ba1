// Winograd convolution F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3) (Lavin and Gray, arXiv 1509.09308).
#ifndef SPARSEPASS_WINOGRAD_H_
#define SPARSEPASS_WINOGRAD_H_

#include "conv.h"

namespace sparsepass {

// For 3 x 3 kernels of stride and dilation 1.
ConvFactory make_winograd2, make_winograd4;

}  // namespace sparsepass

#endif  // SPARSEPASS_WINOGRAD_H_
