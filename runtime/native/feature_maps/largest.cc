#include "feature_maps/largest.h"

#include "base/arithmetic.h"
#include "kernels/table.h"

namespace sparsepass {

std::string check_largest(const LargestParams& params) {
  if (params.kept < 1 || params.kept > kMostKept || params.block < params.kept) {
    return "it keeps " + std::to_string(params.kept) + " of " + std::to_string(params.block) +
           ", out of range";
  }
  return "";
}

std::string check_largest_input(const LargestParams& params, int64_t channels) {
  if (channels % params.block == 0) return "";
  return std::to_string(channels) + " channels are no whole blocks of " +
         std::to_string(params.block);
}

void run_largest(const LargestParams& params, const LargestShape& shape, const float* x, float* y,
                 const KernelTable& kernels, Host& host) {
  const int64_t blocks = shape.channels / params.block;
  host.parallel_for(shape.batch * blocks, [&](int64_t task) {
    const int64_t at = task * params.block * shape.pixels;
    kernels.keep_largest({x + at, y + at, shape.pixels, shape.pixels, params.kept, params.block});
  });
}

}  // namespace sparsepass
