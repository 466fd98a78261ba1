// The kernel table of the instruction set this file is compiled for.
#include "kernels/table.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

#define SP_KERNEL(name, signature) signature name;
#include "kernels/kernels.inc"
#undef SP_KERNEL

#define SP_KERNEL(name, signature) &name,
extern const KernelTable kernels = {
    Isa::SPARSEPASS_ISA,
    tuning,
#include "kernels/kernels.inc"
};
#if defined(__AVX512F__)
extern const KernelTable intel_kernels = {
    Isa::SPARSEPASS_ISA,
    intel_tuning,
#include "kernels/kernels.inc"
};
#endif
#undef SP_KERNEL

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
