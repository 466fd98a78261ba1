#include "base/aligned.h"

#include <algorithm>
#include <cstddef>

#include "base/arithmetic.h"

namespace sparsepass {

AlignedFloats allocate_floats(int64_t count) {
  const int64_t bytes = count < 0 ? -1 : product({round_up(std::max<int64_t>(count, 1), 16), 4});
  if (bytes < 0) throw std::bad_alloc();
  void* memory = ::operator new(static_cast<size_t>(bytes), std::align_val_t{64});
  return AlignedFloats(static_cast<float*>(memory));
}

}  // namespace sparsepass
