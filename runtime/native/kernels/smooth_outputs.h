// The smooth activation of outputs that a kernel has stored, where there is one.
//
// They are better read again from the first-level cache than kept: sums take all registers.
#ifndef SPARSEPASS_KERNELS_SMOOTH_OUTPUTS_H_
#define SPARSEPASS_KERNELS_SMOOTH_OUTPUTS_H_

#include "kernels/smooth_kernel.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

SmoothKernel smooth_activation;

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_SMOOTH_OUTPUTS_H_
