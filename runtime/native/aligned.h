// Memory on a cache-line boundary.
#ifndef SPARSEPASS_ALIGNED_H_
#define SPARSEPASS_ALIGNED_H_

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sparsepass {

// Uninitialised bytes that start at a multiple of 64; throws std::bad_alloc.
class AlignedBuffer {
 public:
  explicit AlignedBuffer(size_t bytes) : memory_(new char[bytes + 64]) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory_.get());
    data_ = memory_.get() + (64 - address % 64) % 64;
  }
  void* data() const { return data_; }

 private:
  std::unique_ptr<char[]> memory_;
  char* data_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_ALIGNED_H_
