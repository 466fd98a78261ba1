// The kernel table of the instruction set this file is compiled for.
#include "kernels/table.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

#define SP_KERNEL(name, signature) signature name;
#include "kernels/kernels.inc"
#undef SP_KERNEL

extern const KernelTable kernels = {
    Isa::SPARSEPASS_ISA,
    tuning,
#define SP_KERNEL(name, signature) &name,
#include "kernels/kernels.inc"
#undef SP_KERNEL
};

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
