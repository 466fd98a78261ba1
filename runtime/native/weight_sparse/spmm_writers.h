// How a kept weight becomes AVX-512 instructions.
//
// Code covers one unit of 16 positions: it begins or resumes the accumulators of the rows, loads an
// input, multiplies and adds, and finishes or suspends the rows.
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
class WeightStream {
 public:
  static constexpr int kWindow = 256;

  WeightStream(Avx512Emitter& emit, std::vector<float>& weights) : emit_(emit), weights_(weights) {}

  // Appends a value and returns its address.
  Memory next(float value) {
    if (used_ == kWindow) reserve(kWindow);
    weights_.push_back(value);
    return {kWeights, (used_++ - kWindow / 2) * 4};
  }

  // Makes the next `count` values addressable at the same time.
  void reserve(int count) {
    if (used_ + count <= kWindow) return;
    emit_.add(kWeights, used_ * 4);
    used_ = 0;
  }

 private:
  Avx512Emitter& emit_;
  std::vector<float>& weights_;
  int used_ = 0;
};

// One register per output channel; the weight is broadcast by the multiply-add itself.
class CodeWriter {
 public:
  static constexpr int kRows = avx512::tuning.code_rows;
  static_assert(kRows <= 30, "registers 30 and 31 hold inputs");
  Avx512Emitter emit;
  WeightStream stream;

  explicit CodeWriter(std::vector<float>& weights) : stream(emit, weights) {}

  void begin(int row, float bias) { emit.broadcast(row, stream.next(bias)); }
  void resume(int row) { emit.load(row, {kPartial, row * 64}); }
  void suspend(int row) { emit.store({kPartial, row * 64}, row); }
  void load_input(int32_t bytes) {
    const bool whole = bytes % 64 == 0;
    if (whole && !near(bytes) && near_loads_ >= kWorthMoving) {
      emit.add(kX, bytes + kReach - x_);
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

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPMM_WRITERS_H_
