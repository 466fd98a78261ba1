// Memory for generated code: written once, then executable and never writable again.
#ifndef SPARSEPASS_JIT_CODE_BUFFER_H_
#define SPARSEPASS_JIT_CODE_BUFFER_H_

#include <cstddef>
#include <cstdint>

namespace sparsepass {

class CodeBuffer {
 public:
  CodeBuffer() = default;
  CodeBuffer(const CodeBuffer&) = delete;
  CodeBuffer& operator=(const CodeBuffer&) = delete;
  ~CodeBuffer();

  // Copies `code` into executable memory, of whole huge pages where it is large and they take no
  // more than `most_bytes`.  False where the system does not allow it (hardened kernels forbid
  // pages that were once writable to become executable).
  bool load(const uint8_t* code, size_t bytes, size_t most_bytes);
  const uint8_t* data() const { return static_cast<const uint8_t*>(memory_); }
  // Of memory, which may be more than of code.
  size_t bytes() const { return bytes_; }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_JIT_CODE_BUFFER_H_
