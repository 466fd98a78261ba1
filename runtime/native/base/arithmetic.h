// Arithmetic of sizes: overflow-checked products, and division that rounds up.
#ifndef SPARSEPASS_BASE_ARITHMETIC_H_
#define SPARSEPASS_BASE_ARITHMETIC_H_

#include <cstdint>
#include <initializer_list>

namespace sparsepass {

// Sets `*product` and returns true, or returns false where a * b does not fit or is negative.
inline bool multiply(int64_t a, int64_t b, int64_t* product) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, product);
}

// The product of sizes, or -1 where one is negative or the result passes 2^48.
inline int64_t product(std::initializer_list<int64_t> sizes) {
  constexpr int64_t kMost = int64_t{1} << 48;
  int64_t result = 1;
  for (int64_t size : sizes) {
    if (!multiply(result, size, &result) || result > kMost) return -1;
  }
  return result;
}

// `value` rounded up to a multiple of `unit`.
constexpr int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

constexpr int64_t divide_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit; }

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_ARITHMETIC_H_
