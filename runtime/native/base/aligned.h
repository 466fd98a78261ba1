// Memory on a cache-line boundary.
#ifndef SPARSEPASS_BASE_ALIGNED_H_
#define SPARSEPASS_BASE_ALIGNED_H_

#include <cstdint>
#include <memory>
#include <new>

namespace sparsepass {

struct FreeFloats {
  void operator()(float* floats) const { ::operator delete(floats, std::align_val_t{64}); }
};
using AlignedFloats = std::unique_ptr<float[], FreeFloats>;

// `count` floats aligned to 64 bytes, for packed weights; throws std::bad_alloc, also where the
// count is the -1 of product().
AlignedFloats allocate_floats(int64_t count);

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_ALIGNED_H_
