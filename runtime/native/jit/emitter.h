// The few x86-64 vector instructions that generated kernels are made of.
//
// Register operands are numbers; memory operands are [base + displacement].  EVEX forms have
// one-byte displacements that count in units of the operand.
#ifndef SPARSEPASS_JIT_EMITTER_H_
#define SPARSEPASS_JIT_EMITTER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparsepass {

enum Register : int {
  rax = 0,
  rcx = 1,
  rdx = 2,
  rsi = 6,
  rdi = 7,
  r8 = 8,
  r9 = 9,
  r10 = 10,
  r11 = 11
};

struct Memory {
  Register base;
  int32_t displacement;
};

class Emitter {
 public:
  size_t size() const { return code_.size(); }
  const uint8_t* data() const { return code_.data(); }

  void ret() { byte(0xC3); }
  // Without it, what the host computes next in narrow vectors waits for the wide ones.
  void clear_upper_halves();
  void add(Register r, int32_t value);
  // The first argument behind those in registers.
  void mov_stack_argument(Register to);
  // Prefetches the cache line at m into the second-level cache.
  void prefetch(Memory m);
  void move_to_mask(int k, Register from);
  void shift_right(Register r, int bits);

 protected:
  void byte(int value) { code_.push_back(static_cast<uint8_t>(value)); }
  void word(int32_t value) {
    for (int i = 0; i < 4; ++i) byte(value >> (8 * i));
  }
  // The ModRM byte and displacement of a memory operand; `unit` scales one-byte displacements.
  void address(int reg, Memory m, int unit);

 private:
  std::vector<uint8_t> code_;
};

// 512-bit instructions on zmm0 to zmm31.
class Avx512Emitter : public Emitter {
 public:
  void load(int to, Memory from) { memory(0x10, kMap0F, 0, to, 0, from, 64, false, 0); }
  void store(Memory to, int from) { memory(0x11, kMap0F, 0, from, 0, to, 64, false, 0); }
  void store_masked(Memory to, int from, int k) {
    memory(0x11, kMap0F, 0, from, 0, to, 64, false, k);
  }
  void broadcast(int to, Memory from) { memory(0x18, kMap0F38, 1, to, 0, from, 4, false, 0); }
  // acc += a * (one float at m, in every lane)
  void fma(int acc, int a, Memory m) { memory(0xB8, kMap0F38, 1, acc, a, m, 4, true, 0); }
  void add_masked(int to, Memory from, int k) {
    memory(0x58, kMap0F, 0, to, to, from, 64, false, k);
  }
  void max(int to, int a, int b) { registers(0x5F, kMap0F, 0, to, a, b, 0, false); }
  void min(int to, int a, int b) { registers(0x5D, kMap0F, 0, to, a, b, 0, false); }
  // to = a * (one float at m, in every lane), where k is set
  void multiply_masked(int to, int a, Memory m, int k) {
    memory(0x59, kMap0F, 0, to, a, m, 4, true, k);
  }
  // Keeps the lanes of `from` set in k, at the low end of `to`; the others are zero.
  void compress(int to, int from, int k) { registers(0x8A, kMap0F38, 1, from, 0, to, k, true); }
  // k = a < (one float at m, in every lane)
  void compare_less(int k, int a, Memory m);

 private:
  static constexpr int kMap0F = 1, kMap0F38 = 2;
  void prefix(int map, int pp, bool r, bool x, bool b, bool r2, int vvvv, bool broadcast, int k,
              bool zeroing);
  void memory(int opcode, int map, int pp, int reg, int vvvv, Memory m, int unit, bool broadcast,
              int k);
  void registers(int opcode, int map, int pp, int reg, int vvvv, int rm, int k, bool zeroing);
};

}  // namespace sparsepass

#endif  // SPARSEPASS_JIT_EMITTER_H_
