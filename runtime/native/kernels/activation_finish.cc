// From sums with filters innermost to NCHW, with residual and activation.
#include "kernels/activation_kernel.h"
#include "kernels/smooth_outputs.h"
#include "simd/epilogue.h"
#include "simd/shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

// One square of `pixels` and `filters`, at most kLanes of each.
static inline void finish_square(const FinishJob& job, const float* sums, int64_t at,
                                 int64_t pixels, int64_t filters) {
  vf square[kLanes];
  for (int p = 0; p < kLanes; ++p) square[p] = p < pixels ? load(sums + p * job.block) : vf{};
  transpose(square);
  const Activation activation(job.epilogue);
  for (int64_t f = 0; f < kLanes; ++f) {
    if (f >= filters) break;
    store_outputs(square[f], job.residual, activation, job.y, at + f * job.plane, pixels);
  }
}

void activation_finish(const FinishJob& job) {
  for (int64_t f = 0; f < job.filters; f += kLanes) {
    for (int64_t p = 0; p < job.pixels; p += kLanes) {
      finish_square(job, job.sums + p * job.block + f, f * job.plane + p, job.pixels - p,
                    job.filters - f);
    }
  }
  smooth_activation({job.epilogue.smooth, job.y, job.filters, job.plane, job.pixels});
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
