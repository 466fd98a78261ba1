// From sums with filters innermost to NCHW, with residual and activation.
#include "activation_kernel.h"
#include "kernels/transpose.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

static inline vf activate(vf v, const Epilogue& e) {
  const vf zero = {};
  v = v < zero ? v * splat(e.slope) : v;
  return min(splat(e.high), max(splat(e.low), v));
}

// One square of kLanes pixels and kLanes filters.
static inline void finish_square(const FinishJob& job, int64_t pixel, int64_t filter,
                                 int64_t filters) {
  vf square[kLanes];
  for (int p = 0; p < kLanes; ++p) square[p] = load(job.sums + (pixel + p) * job.block + filter);
  transpose(square);
  for (int f = 0; f < kLanes; ++f) {
    if (f >= filters) break;
    const int64_t at = (filter + f) * job.plane + pixel;
    const vf sum = job.residual ? square[f] + load(job.residual + at) : square[f];
    store(job.y + at, activate(sum, job.epilogue));
  }
}

static inline void finish_one(const FinishJob& job, int64_t pixel, int64_t filter) {
  const int64_t at = filter * job.plane + pixel;
  const float sum = job.sums[pixel * job.block + filter] + (job.residual ? job.residual[at] : 0.0f);
  job.y[at] = activate(splat(sum), job.epilogue)[0];
}

void activation_finish(const FinishJob& job) {
  for (int64_t f = 0; f < job.filters; f += kLanes) {
    const int64_t filters = job.filters - f < kLanes ? job.filters - f : kLanes;
    int64_t p = 0;
    for (; p + kLanes <= job.pixels; p += kLanes) finish_square(job, p, f, filters);
    for (; p < job.pixels; ++p) {
      for (int64_t i = 0; i < filters; ++i) finish_one(job, p, f + i);
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
