#include "code_buffer.h"

#include <cstring>

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif

namespace sparsepass {

#if defined(_WIN32)

CodeBuffer::~CodeBuffer() {
  if (memory_) VirtualFree(memory_, 0, MEM_RELEASE);
}

bool CodeBuffer::load(const uint8_t* code, size_t bytes) {
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

CodeBuffer::~CodeBuffer() {
  if (memory_) munmap(memory_, bytes_);
}

bool CodeBuffer::load(const uint8_t* code, size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  std::memcpy(memory, code, bytes);
  if (mprotect(memory, bytes, PROT_READ | PROT_EXEC) != 0) {
    munmap(memory, bytes);
    return false;
  }
  memory_ = memory;
  bytes_ = bytes;
  return true;
}

#endif

}  // namespace sparsepass
