#include "jit/emitter.h"

namespace sparsepass {

void Emitter::add(Register r, int32_t value) {
  byte(r >= 8 ? 0x49 : 0x48);
  byte(0x81);
  byte(0xC0 | (r & 7));
  word(value);
}

void Emitter::mov_stack_argument(Register to) {  // mov to, [rsp + 8]
  byte(0x48 | (to >= 8 ? 4 : 0));
  byte(0x8B);
  byte(0x44 | (to & 7) << 3);
  byte(0x24);
  byte(8);
}

void Emitter::clear_upper_halves() {  // vzeroupper
  byte(0xC5);
  byte(0xF8);
  byte(0x77);
}

void Emitter::prefetch(Memory m) {  // prefetcht1 [m]
  if (m.base >= 8) byte(0x41);
  byte(0x0F);
  byte(0x18);
  address(2, m, 1);
}

void Emitter::move_to_mask(int k, Register from) {  // kmovw k, r32
  byte(0xC4);
  byte(0xE1 & ~((from >= 8) << 5));
  byte(0x78);
  byte(0x92);
  byte(0xC0 | k << 3 | (from & 7));
}

void Emitter::shift_right(Register r, int bits) {
  if (r >= 8) byte(0x41);
  byte(0xC1);
  byte(0xE8 | (r & 7));
  byte(bits);
}

void Emitter::address(int reg, Memory m, int unit) {
  const int field = (reg & 7) << 3 | (m.base & 7);
  if (m.displacement % unit == 0 && m.displacement / unit >= -128 && m.displacement / unit < 128) {
    byte(0x40 | field);
    byte(m.displacement / unit);
  } else {
    byte(0x80 | field);
    word(m.displacement);
  }
}

void Avx512Emitter::prefix(int map, int pp, bool r, bool x, bool b, bool r2, int vvvv,
                           bool broadcast, int k, bool zeroing) {
  byte(0x62);
  byte(!r << 7 | !x << 6 | !b << 5 | !r2 << 4 | map);
  byte((~vvvv & 15) << 3 | 4 | pp);
  byte(zeroing << 7 | 2 << 5 | broadcast << 4 | !(vvvv & 16) << 3 | k);
}

void Avx512Emitter::memory(int opcode, int map, int pp, int reg, int vvvv, Memory m, int unit,
                           bool broadcast, int k) {
  prefix(map, pp, reg & 8, false, m.base & 8, reg & 16, vvvv, broadcast, k, false);
  byte(opcode);
  address(reg, m, unit);
}

void Avx512Emitter::registers(int opcode, int map, int pp, int reg, int vvvv, int rm, int k,
                              bool zeroing) {
  prefix(map, pp, reg & 8, rm & 16, rm & 8, reg & 16, vvvv, false, k, zeroing);
  byte(opcode);
  byte(0xC0 | (reg & 7) << 3 | (rm & 7));
}

void Avx512Emitter::compare_less(int k, int a, Memory m) {  // vcmpltps k, a, m
  memory(0xC2, kMap0F, 0, k, a, m, 4, true, 0);
  byte(1);
}

}  // namespace sparsepass
