// The peak of the machine: independent multiply-adds on registers, in vectors of BYTES.
#include <cstdint>

typedef float Vector __attribute__((vector_size(BYTES)));

// As many as hide the latency of a multiply-add and stay in registers.
constexpr int kChains = 12;

// Runs `rounds` multiply-adds on every chain; returns how many operations on floats that is.
extern "C" double run(int64_t rounds, float* sink) {
  Vector chains[kChains];
  const Vector half = Vector{} + 0.5f, one = Vector{} + 1.0f;
  for (int i = 0; i < kChains; ++i) chains[i] = Vector{} + static_cast<float>(i);
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chains[i] = chains[i] * half + one;
  }
  for (int i = 1; i < kChains; ++i) chains[0] += chains[i];
  *sink = chains[0][0];
  return 2.0 * static_cast<double>(rounds) * kChains * (BYTES / sizeof(float));
}
