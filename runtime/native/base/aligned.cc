#include "base/aligned.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstddef>

#include "base/arithmetic.h"

namespace sparsepass {
namespace {

// Packed weights are streamed, or read in an order that only the input decides: small pages would
// stop the prefetchers at their ends, or cost a table walk each.  What follows is advice, so its
// failure is none.
void advise_large_pages(void* memory, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t kLarge = 2 << 20;
  const uintptr_t start = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t begin = (start + kLarge - 1) / kLarge * kLarge;
  const uintptr_t end = (start + bytes) / kLarge * kLarge;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)memory;
  (void)bytes;
#endif
}

}  // namespace

AlignedFloats allocate_floats(int64_t count) {
  const int64_t bytes = count < 0 ? -1 : product({round_up(std::max<int64_t>(count, 1), 16), 4});
  if (bytes < 0) throw std::bad_alloc();
  void* memory = ::operator new(static_cast<size_t>(bytes), std::align_val_t{64});
  advise_large_pages(memory, static_cast<size_t>(bytes));
  return AlignedFloats(static_cast<float*>(memory));
}

}  // namespace sparsepass
