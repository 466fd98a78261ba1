// Memory on a cache-line boundary.
#ifndef SPARSEPASS_BASE_ALIGNED_H_
#define SPARSEPASS_BASE_ALIGNED_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
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

struct FreeFloats {
  void operator()(float* floats) const { std::free(floats); }
};
using AlignedFloats = std::unique_ptr<float[], FreeFloats>;

// `count` floats aligned to 64 bytes, for packed weights; throws std::bad_alloc, also where the
// count is the -1 of product().
AlignedFloats allocate_floats(int64_t count);

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_ALIGNED_H_
