// From sums with filters innermost to NCHW, with residual and activation.
#include "kernels/activation_kernel.h"
#include "simd/shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

static inline vf activate(vf v, const Epilogue& e) {
  const vf zero = {};
  v = v >= zero ? v : v * splat(e.slope);
  return min(splat(e.high), max(splat(e.low), v));
}

// One square of `pixels` and `filters`, at most kLanes of each.
static inline void finish_square(const FinishJob& job, const float* sums, int64_t at,
                                 int64_t pixels, int64_t filters) {
  vf square[kLanes];
  for (int p = 0; p < kLanes; ++p) square[p] = p < pixels ? load(sums + p * job.block) : vf{};
  transpose(square);
  for (int64_t f = 0; f < kLanes; ++f) {
    if (f >= filters) break;
    const int64_t row = at + f * job.plane;
    if (pixels >= kLanes) {
      const vf sum = job.residual ? square[f] + load(job.residual + row) : square[f];
      store(job.y + row, activate(sum, job.epilogue));
    } else {
      const vf sum = job.residual ? square[f] + load_first(job.residual + row, pixels) : square[f];
      store_first(job.y + row, activate(sum, job.epilogue), pixels);
    }
  }
}

void activation_finish(const FinishJob& job) {
  for (int64_t f = 0; f < job.filters; f += kLanes) {
    for (int64_t p = 0; p < job.pixels; p += kLanes) {
      finish_square(job, job.sums + p * job.block + f, f * job.plane + p, job.pixels - p,
                    job.filters - f);
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
