// Where skipping the zeros of an input pays.
#ifndef SPARSEPASS_ACTIVATION_SPARSE_BREAK_EVEN_H_
#define SPARSEPASS_ACTIVATION_SPARSE_BREAK_EVEN_H_

#include "base/convolution.h"
#include "base/tuning.h"

namespace sparsepass {

// Whether the nine weights of a non-zero are applied at once; elsewhere outputs gather their
// inputs.
bool is_swept(const ConvParams& params);

// The share of non-zeros up to which the encoded path is expected to beat the dense one.
double break_even_density(const ConvParams& params, const Tuning& tuning);

}  // namespace sparsepass

#endif  // SPARSEPASS_ACTIVATION_SPARSE_BREAK_EVEN_H_
