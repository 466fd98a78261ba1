// The table of micro-kernels of each instruction set.
#ifndef SPARSEPASS_KERNELS_TABLE_H_
#define SPARSEPASS_KERNELS_TABLE_H_

#include "base/machine.h"
#include "base/tuning.h"
#include "kernels/activation_kernel.h"
#include "kernels/depthwise_kernel.h"
#include "kernels/gemm_kernel.h"
#include "kernels/lanes_kernel.h"
#include "kernels/largest_kernel.h"
#include "kernels/lists_kernel.h"
#include "kernels/lower_kernel.h"
#include "kernels/lrn_kernel.h"
#include "kernels/pool_kernel.h"
#include "kernels/smooth_kernel.h"
#include "kernels/spmm_kernel.h"
#include "kernels/winograd_kernel.h"

namespace sparsepass {

struct KernelTable {
  Isa isa;
  Tuning tuning;
#define SP_KERNEL(name, signature) signature* name;
#include "kernels/kernels.inc"
#undef SP_KERNEL
};

namespace baseline {
extern const KernelTable kernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const KernelTable kernels;
}
namespace avx512 {
extern const KernelTable kernels, intel_kernels;
}
#endif

// The kernels for `isa`; null where this build has none.
inline const KernelTable* kernels_for(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512:
      return is_intel() ? &avx512::intel_kernels : &avx512::kernels;
    case Isa::avx2:
      return &avx2::kernels;
#endif
    case Isa::baseline:
      return &baseline::kernels;
    default:
      return nullptr;
  }
}

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_TABLE_H_
