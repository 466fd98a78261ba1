// The instruction sets the library knows, and which of them this machine runs.
#ifndef SPARSEPASS_MACHINE_H_
#define SPARSEPASS_MACHINE_H_

namespace sparsepass {

// In order of preference: a machine that runs one runs those before it.
enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

constexpr int kIsaCount = 3;

const char* isa_name(Isa isa);

// The widest instruction set that this processor and its operating system run.
Isa best_isa();

}  // namespace sparsepass

#endif  // SPARSEPASS_MACHINE_H_
