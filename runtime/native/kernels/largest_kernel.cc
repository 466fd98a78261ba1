// The largest of every few channels, vectorised over pixels.
//
// The largest magnitudes so far lie in registers in descending order; each channel sinks as far as
// it is smaller.  A NaN is larger than nothing and nothing than it: what is compared with it stays.
#include "kernels/largest_kernel.h"

#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

inline vf magnitude(vf v) { return max(v, -v); }

// The magnitude that `kKept` of the channels reach, of each pixel.
template <int kKept>
inline vf least_kept(const float* x, const LargestJob& job, int64_t count) {
  vf largest[kKept] = {};
  for (int64_t c = 0; c < job.block; ++c) {
    vf value = magnitude(load_up_to(x + c * job.plane, count));
    for (int i = 0; i < kKept; ++i) {
      const vf smaller = min(largest[i], value);
      largest[i] = max(largest[i], value);
      value = smaller;
    }
  }
  return largest[kKept - 1];
}

template <int kKept>
void keep(const LargestJob& job) {
  for (int64_t pixel = 0; pixel < job.count; pixel += kLanes) {
    const int64_t count = job.count - pixel;
    const vf least = least_kept<kKept>(job.x + pixel, job, count);
    for (int64_t c = 0; c < job.block; ++c) {
      const int64_t at = c * job.plane + pixel;
      const vf value = load_up_to(job.x + at, count);
      store_up_to(job.y + at, magnitude(value) < least ? vf{} : value, count);
    }
  }
}

using Keep = void(const LargestJob& job);
Keep* const kKeep[kMostKept] = {keep<1>, keep<2>, keep<3>, keep<4>,
                                keep<5>, keep<6>, keep<7>, keep<8>};

}  // namespace

void keep_largest(const LargestJob& job) { kKeep[job.kept - 1](job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
