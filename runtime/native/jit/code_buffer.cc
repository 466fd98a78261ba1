#include "jit/code_buffer.h"

#include <cstring>

#include "base/arithmetic.h"
#include "base/tuning.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace sparsepass {

#if defined(_WIN32)

CodeBuffer::~CodeBuffer() {
  if (memory_) VirtualFree(memory_, 0, MEM_RELEASE);
}

bool CodeBuffer::load(const uint8_t* code, size_t bytes, size_t) {
  void* memory = VirtualAlloc(nullptr, bytes, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
  if (!memory) return false;
  std::memcpy(memory, code, bytes);
  DWORD before;
  if (!VirtualProtect(memory, bytes, PAGE_EXECUTE_READ, &before)) {
    VirtualFree(memory, 0, MEM_RELEASE);
    return false;
  }
  memory_ = memory;
  bytes_ = bytes;
  return true;
}

#else

namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

// Writable memory of `bytes` (whole pages) that starts on a huge page, or null.
void* map_huge(size_t bytes) {
  void* const raw =
      mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(raw);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
  if (before) munmap(begin, before);
  if (before < kHugePage) munmap(begin + before + bytes, kHugePage - before);
#if defined(MADV_HUGEPAGE)
  madvise(begin + before, bytes, MADV_HUGEPAGE);
#endif
  return begin + before;
}

}  // namespace

CodeBuffer::~CodeBuffer() {
  if (memory_) munmap(memory_, bytes_);
}

bool CodeBuffer::load(const uint8_t* code, size_t bytes, size_t most_bytes) {
  void* memory = nullptr;
  size_t mapped = bytes;
  if (bytes >= Tuning::huge_code_bytes) {
    mapped = round_up(static_cast<int64_t>(bytes), kHugePage);
    if (mapped > most_bytes) {
      mapped = round_up(static_cast<int64_t>(bytes), sysconf(_SC_PAGESIZE));
    }
    memory = map_huge(mapped);
  } else {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) memory = nullptr;
  }
  if (!memory) return false;
  std::memcpy(memory, code, bytes);
  if (mprotect(memory, mapped, PROT_READ | PROT_EXEC) != 0) {
    munmap(memory, mapped);
    return false;
  }
  memory_ = memory;
  bytes_ = mapped;
  return true;
}

#endif

}  // namespace sparsepass
