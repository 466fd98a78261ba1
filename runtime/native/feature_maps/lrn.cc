#include "feature_maps/lrn.h"

#include <algorithm>
#include <cmath>

#include "base/arithmetic.h"
#include "kernels/table.h"

namespace sparsepass {

std::string check_lrn(const LrnParams& params) {
  if (params.size < 1 || params.size >= int64_t{1} << 31) {
    return "size is " + std::to_string(params.size) + ", out of range";
  }
  if (!std::isfinite(params.alpha) || !std::isfinite(params.beta) || !std::isfinite(params.bias)) {
    return "alpha, beta and bias must be finite";
  }
  return "";
}

void run_lrn(const LrnParams& params, const LrnShape& shape, const float* x, float* y,
             const KernelTable& kernels, Host& host) {
  const int64_t step = floats_in(kernels.tuning.lrn_first_level, caches().data);
  const int64_t per_image = divide_up(shape.pixels, step);
  host.parallel_for(shape.batch * per_image, [&](int64_t task) {
    const int64_t first = task % per_image * step;
    const int64_t at = task / per_image * shape.channels * shape.pixels + first;
    LrnJob job;
    job.x = x + at;
    job.y = y + at;
    job.count = std::min(step, shape.pixels - first);
    job.channels = shape.channels;
    job.plane = shape.pixels;
    job.before = (params.size - 1) / 2;
    job.after = params.size / 2;
    job.scale = params.alpha / static_cast<float>(params.size);
    job.beta = params.beta;
    job.bias = params.bias;
    kernels.lrn(job);
  });
}

}  // namespace sparsepass
