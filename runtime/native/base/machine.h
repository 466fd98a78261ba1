// The instruction sets the library knows, which of them this machine runs, and its caches.
#ifndef SPARSEPASS_BASE_MACHINE_H_
#define SPARSEPASS_BASE_MACHINE_H_

#include <cstdint>

namespace sparsepass {

// In order of preference: a machine that runs one runs those before it.
enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

constexpr int kIsaCount = 3;

const char* isa_name(Isa isa);

// The widest instruction set that this processor and its operating system run.
Isa best_isa();

// Whether the processor is one of Intel's, which have constants of their own (base/tuning.h).
bool is_intel();

// Bytes of the caches of a core, as the system reports them, or small common sizes.
struct Caches {
  int64_t data, code;  // of the first level
  int64_t second, last;
};

const Caches& caches();

// Floats that fit into a share of a cache.
int64_t floats_in(double share, int64_t cache_bytes);

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_MACHINE_H_
