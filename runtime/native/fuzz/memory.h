// Arrays between pages that nobody may touch: generated code is watched as well, which sanitizers
// cannot do.
#ifndef SPARSEPASS_FUZZ_MEMORY_H_
#define SPARSEPASS_FUZZ_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace sparsepass {
namespace fuzz {

constexpr size_t kMostArrayBytes = size_t{1} << 18;

// One array after the other, in the same memory.
class GuardedArray {
 public:
  GuardedArray();
  ~GuardedArray();
  GuardedArray(const GuardedArray&) = delete;
  GuardedArray& operator=(const GuardedArray&) = delete;

  // Memory for at most kMostArrayBytes, which ends, or begins, next to a closed page.
  void* place(size_t bytes, bool at_end);
  // Ends the process where something was written beside the array.
  void check() const;

 private:
  uint8_t* memory_;
  uint8_t *begin_, *end_;  // of the array
};

}  // namespace fuzz
}  // namespace sparsepass

#endif  // SPARSEPASS_FUZZ_MEMORY_H_
