// How a kept weight becomes instructions, for each instruction set that has a code generator.
//
// Both writers cover one unit of 16 positions, so that everything around them is the same: begin or
// resume the accumulators of the rows, load an input, multiply-add, and finish or suspend the rows.
#ifndef SPARSEPASS_WEIGHT_SPARSE_SPMM_WRITERS_H_
#define SPARSEPASS_WEIGHT_SPARSE_SPMM_WRITERS_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/tuning.h"
#include "jit/emitter.h"
#include "weight_sparse/spmm_code.h"

namespace sparsepass {

// Arguments of generated code, in the registers of the System V convention.
constexpr Register kX = rdi, kWeights = rsi, kY = rdx, kResidual = rcx, kPartial = r8,
                   kUnitInfo = r9;
using Function = void(__attribute__((sysv_abi)) *)(const float* x, const float* weights, float* y,
                                                   const float* residual, float* partial,
                                                   uint64_t unit, const uint8_t* next);
// Where the slice of the next piece begins that a call prefetches.
constexpr Register kNext = r11;
constexpr int64_t kLine = 64;

// Walks the stream of weights, in the order in which the code reads them.  The register points into
// the middle of a window that one-byte displacements reach.
template <class Emit, int kWindow>
class WeightStream {
 public:
  WeightStream(Emit& emit, std::vector<float>& weights) : emit_(emit), weights_(weights) {}

  // Appends a value and returns its address.
  Memory next(float value) {
    if (used_ == kWindow) reserve(kWindow);
    weights_.push_back(value);
    return {kWeights, (used_++ - kWindow / 2) * 4};
  }

  // Makes the next `count` values addressable at the same time.
  void reserve(int count) {
    if (used_ + count <= kWindow) return;
    emit_.Emitter::add(kWeights, used_ * 4);
    used_ = 0;
  }

 private:
  Emit& emit_;
  std::vector<float>& weights_;
  int used_ = 0;
};

// AVX-512: one register per output channel; the weight is broadcast by the multiply-add itself.
class Avx512Writer {
 public:
  static constexpr int kRows = avx512::tuning.code_rows;
  static_assert(kRows <= 30, "registers 30 and 31 hold inputs");
  static constexpr int kWindow = 256;
  Avx512Emitter emit;
  WeightStream<Avx512Emitter, kWindow> stream;

  explicit Avx512Writer(std::vector<float>& weights) : stream(emit, weights) {}

  void begin(int row, float bias) { emit.broadcast(row, stream.next(bias)); }
  void resume(int row) { emit.load(row, {kPartial, row * 64}); }
  void suspend(int row) { emit.store({kPartial, row * 64}, row); }
  void load_input(int32_t bytes) {
    const bool whole = bytes % 64 == 0;
    if (whole && !near(bytes) && near_loads_ >= kWorthMoving) {
      emit.Emitter::add(kX, bytes + kReach - x_);
      x_ = bytes + kReach;
      near_loads_ = 0;
    }
    near_loads_ += whole && near(bytes);
    input_ = input_ == 30 ? 31 : 30;
    emit.load(input_, {kX, bytes - x_});
  }
  void multiply_add(int row, float value) { emit.fma(row, input_, stream.next(value)); }

  void open_epilogue(const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    stream.reserve(4);
    if (e.low > -std::numeric_limits<float>::infinity()) emit.broadcast(30, stream.next(e.low));
    if (e.high < std::numeric_limits<float>::infinity()) emit.broadcast(31, stream.next(e.high));
    if (e.slope != 1.0f) {
      slope_ = stream.next(e.slope);
      zero_ = stream.next(0.0f);
    }
    emit.move_to_mask(2, kUnitInfo);
    emit.shift_right(kUnitInfo, 16);
    emit.move_to_mask(1, kUnitInfo);
  }
  void finish(int row, int32_t y_bytes, const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    if (options.gaps) emit.compress(row, row, 2);
    if (options.residual) emit.add_masked(row, {kResidual, y_bytes}, 1);
    if (e.slope != 1.0f) {
      emit.compare_less(3, row, zero_);
      emit.multiply_masked(row, row, slope_, 3);
    }
    if (e.low > -std::numeric_limits<float>::infinity()) emit.max(row, 30, row);
    if (e.high < std::numeric_limits<float>::infinity()) emit.min(row, 31, row);
    emit.store_masked({kY, y_bytes}, row, 1);
  }

 private:
  // One-byte displacements of whole vectors, which take three bytes less than long ones, reach so
  // far.
  static constexpr int32_t kReach = 128 * 64;
  // Loads that have to come within reach for another move, which takes seven bytes.
  static constexpr int kWorthMoving = 4;
  bool near(int32_t bytes) const { return bytes >= x_ - kReach && bytes < x_ + kReach; }

  int input_ = 30;
  int32_t x_ = 0;  // bytes that kX has moved by
  int near_loads_ = kWorthMoving;
  Memory slope_ = {kWeights, 0}, zero_ = {kWeights, 0};
};

// AVX2: two registers per output channel, lower and upper half of the unit.
class Avx2Writer {
 public:
  static constexpr int kRows = avx2::tuning.code_rows;
  static_assert(kRows <= 6, "registers 12 to 15 hold inputs and weights");
  static constexpr int kWindow = 64;
  Avx2Emitter emit;
  WeightStream<Avx2Emitter, kWindow> stream;

  explicit Avx2Writer(std::vector<float>& weights) : stream(emit, weights) {}

  void begin(int row, float bias) {
    const Memory m = stream.next(bias);
    emit.broadcast(2 * row, m);
    emit.broadcast(2 * row + 1, m);
  }
  void resume(int row) {
    emit.load(2 * row, {kPartial, row * 64});
    emit.load(2 * row + 1, {kPartial, row * 64 + 32});
  }
  void suspend(int row) {
    emit.store({kPartial, row * 64}, 2 * row);
    emit.store({kPartial, row * 64 + 32}, 2 * row + 1);
  }
  void load_input(int32_t bytes) {
    emit.load(12, {kX, bytes});
    emit.load(13, {kX, bytes + 32});
  }
  void multiply_add(int row, float value) {
    weight_ = weight_ == 14 ? 15 : 14;
    emit.broadcast(weight_, stream.next(value));
    emit.fma(2 * row, 12, weight_);
    emit.fma(2 * row + 1, 13, weight_);
  }

  void open_epilogue(const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    stream.reserve(3);
    if (e.low > -std::numeric_limits<float>::infinity()) emit.broadcast(12, stream.next(e.low));
    if (e.high < std::numeric_limits<float>::infinity()) emit.broadcast(13, stream.next(e.high));
    if (e.slope != 1.0f) slope_ = stream.next(e.slope);
    emit.mov(rax, {kUnitInfo, 128});  // LaneMoves::upper_bytes
    emit.lea(r8, kY, rax);
    if (options.residual) emit.lea(r10, kResidual, rax);
  }
  void finish(int row, int32_t y_bytes, const SpmmCodeOptions& options) {
    const Epilogue& e = options.epilogue;
    for (int half = 0; half < 2; ++half) {
      const int acc = 2 * row + half;
      const Register y = half ? r8 : kY, residual = half ? r10 : kResidual;
      const Memory from = {kUnitInfo, 32 * half}, keep = {kUnitInfo, 64 + 32 * half};
      if (options.gaps) {
        emit.load(14, from);
        emit.permute(acc, 14, acc);
      }
      emit.load(14, keep);
      if (options.residual) {
        emit.load_masked(15, 14, {residual, y_bytes});
        emit.add(acc, acc, 15);
      }
      if (e.slope != 1.0f) {
        emit.broadcast(15, slope_);
        emit.multiply(15, acc, 15);
        emit.blend(acc, acc, 15, acc);
      }
      if (e.low > -std::numeric_limits<float>::infinity()) emit.max(acc, 12, acc);
      if (e.high < std::numeric_limits<float>::infinity()) emit.min(acc, 13, acc);
      emit.store_masked({y, y_bytes}, 14, acc);
    }
  }

 private:
  int weight_ = 14;
  Memory slope_ = {kWeights, 0};
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPMM_WRITERS_H_
