// The instruction sets the library knows, and which of them this machine runs.
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

// Bytes of second-level cache a core has, as the system reports it, or a small common size.
int64_t second_level_cache();

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_MACHINE_H_
