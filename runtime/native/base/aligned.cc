#include "base/aligned.h"

#include <algorithm>
#include <new>

#include "base/arithmetic.h"

namespace sparsepass {

AlignedFloats allocate_floats(int64_t count) {
  const int64_t bytes = count < 0 ? -1 : product({round_up(std::max<int64_t>(count, 1), 16), 4});
  if (bytes < 0) throw std::bad_alloc();
  AlignedFloats floats(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (floats == nullptr) throw std::bad_alloc();
  return floats;
}

}  // namespace sparsepass
