// SmoothActivation activations behind algorithms that know only clamps.
#ifndef SPARSEPASS_CONV_SMOOTH_ACTIVATION_H_
#define SPARSEPASS_CONV_SMOOTH_ACTIVATION_H_

#include <memory>

#include "conv/conv.h"

namespace sparsepass {

// `conv` itself where the epilogue has no smooth activation, else a convolution that runs it and
// then applies the activation to all of its outputs.
std::unique_ptr<Conv> with_smooth_activation(std::unique_ptr<Conv> conv, const ConvParams& params,
                                             const Epilogue& epilogue, const KernelTable& kernels);

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_SMOOTH_ACTIVATION_H_
