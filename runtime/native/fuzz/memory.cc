#include "fuzz/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sparsepass {
namespace fuzz {
namespace {

constexpr size_t kClosed = size_t{1} << 16;  // a page of any system, or several
constexpr uint8_t kPattern = 0xA5;
constexpr ptrdiff_t kWatched = 256;

}  // namespace

GuardedArray::GuardedArray() {
  const size_t bytes = kMostArrayBytes + 2 * kClosed;
  void* memory = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  memory_ = static_cast<uint8_t*>(memory) + kClosed;
  if (mprotect(memory_, kMostArrayBytes, PROT_READ | PROT_WRITE) != 0) std::abort();
  place(0, false);
}

GuardedArray::~GuardedArray() { munmap(memory_ - kClosed, kMostArrayBytes + 2 * kClosed); }

void* GuardedArray::place(size_t bytes, bool at_end) {
  begin_ = at_end ? memory_ + kMostArrayBytes - bytes : memory_;
  end_ = begin_ + bytes;
  const ptrdiff_t before = std::min(kWatched, begin_ - memory_);
  const ptrdiff_t after = std::min<ptrdiff_t>(kWatched, memory_ + kMostArrayBytes - end_);
  std::memset(begin_ - before, kPattern, before);
  std::memset(end_, kPattern, after);
  return begin_;
}

void GuardedArray::check() const {
  const uint8_t* first = begin_ - std::min(kWatched, begin_ - memory_);
  const uint8_t* last = std::min<const uint8_t*>(end_ + kWatched, memory_ + kMostArrayBytes);
  const auto untouched = [](uint8_t value) { return value == kPattern; };
  if (std::all_of(first, const_cast<const uint8_t*>(begin_), untouched) &&
      std::all_of(const_cast<const uint8_t*>(end_), last, untouched)) {
    return;
  }
  std::fprintf(stderr, "a kernel wrote beside its array\n");
  std::abort();
}

}  // namespace fuzz
}  // namespace sparsepass
