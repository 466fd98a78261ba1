// What depthwise kernels are made of: the vectors that they read, and what becomes of their sums.
// For depthwise_kernel.cc alone.
#ifndef SPARSEPASS_KERNELS_DEPTHWISE_PARTS_H_
#define SPARSEPASS_KERNELS_DEPTHWISE_PARTS_H_

#include <cstdint>

#include "base/epilogue.h"
#include "kernels/depthwise_kernel.h"
#include "simd/lanes.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// The outputs that one call computes: filters [first, last), `rows` rows from `row` on that are
// `step` apart, and `across` vectors from `column` on.
struct Part {
  int64_t first, last;
  int64_t row, rows, step;
  int64_t column, across;
};

// What becomes of sums.
template <class L>
class Finish {
 public:
  using Vector = typename L::Vector;

  SPARSEPASS_INLINE explicit Finish(const DepthwiseJob& job)
      : residual_(job.residual),
        y_(job.y),
        slope_(job.epilogue.slope),
        plain_(!job.residual && job.epilogue.slope == 1.0f),
        whole_(job.out_w >= L::kCount),
        outputs_(L::lanes(0, job.out_w)),
        low_(L::splat(job.epilogue.low)),
        high_(L::splat(job.epilogue.high)) {}

  // Stores rows of outputs, the first from position `at` on, `pitch` apart.
  template <int kRows>
  SPARSEPASS_INLINE void store(const Vector* sums, int64_t at, int64_t pitch) const {
    if (__builtin_expect(plain_, 1)) {
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i, at += pitch) store_clamped(sums[i], at);
      return;
    }
    Vector rows[kRows];
    for (int i = 0; i < kRows; ++i) rows[i] = sums[i];
#pragma GCC unroll 1
    for (int i = 0; i < kRows; ++i, at += pitch) {
      Vector sum = rows[i];
      if (residual_) sum += whole_ ? L::load(residual_ + at) : L::load(residual_ + at, outputs_);
      store_clamped(leaky(sum, L::splat(slope_)), at);
    }
  }

 private:
  // The last vector of a row starts early rather than to run over the end, so only maps narrower
  // than a vector have lanes without output.
  SPARSEPASS_INLINE void store_clamped(Vector sum, int64_t at) const {
    sum = clamp(sum, low_, high_);
    if (whole_) {
      L::store(y_ + at, sum);
    } else {
      L::store(y_ + at, outputs_, sum);
    }
  }

  const float* residual_;
  float* y_;
  float slope_;
  bool plain_, whole_;
  typename L::Mask outputs_;
  Vector low_, high_;
};

// The vectors of a row that kTaps neighbouring taps multiply, where the first reads from column
// `first` on.
template <class L, int kTaps, int kStride>
class Window;

template <class L, int kTaps>
class Window<L, kTaps, 1> {
 public:
  using Vector = typename L::Vector;

  SPARSEPASS_INLINE Window(int64_t first, int64_t dilation, int64_t in_w)
      : inside_(first >= 0 && first + (kTaps - 1) * dilation + L::kCount <= in_w),
        dilation_(dilation) {
    for (int t = 0; t < kTaps; ++t, first += dilation) mask_[t] = L::lanes(-first, in_w - first);
  }
  // Whether no column is padding.
  SPARSEPASS_INLINE bool inside() const { return inside_; }
  template <bool kInside>
  SPARSEPASS_INLINE void load(const float* row, Vector* taps) const {
    for (int t = 0; t < kTaps; ++t) {
      const float* p = row + t * dilation_;
      taps[t] = kInside ? L::load(p) : L::load(p, mask_[t]);
    }
  }

 private:
  bool inside_;
  int64_t dilation_;
  typename L::Mask mask_[kTaps];
};

// Loads every column once and tells even from odd ones.
template <class L, int kTaps>
class Window<L, kTaps, 2> {
 public:
  using Vector = typename L::Vector;

  SPARSEPASS_INLINE Window(int64_t first, int64_t, int64_t in_w)
      : inside_(first >= 0 && first + 2 * L::kCount + Lanes4::kCount <= in_w) {
    static_assert(kTaps <= 2 + Lanes4::kCount, "the last taps read four columns more");
    for (int p = 0; p < 2; ++p, first += L::kCount) mask_[p] = L::lanes(-first, in_w - first);
    last_ = Lanes4::lanes(-first, in_w - first);
  }
  SPARSEPASS_INLINE bool inside() const { return inside_; }
  template <bool kInside>
  SPARSEPASS_INLINE void load(const float* row, Vector* taps) const {
    const float* const middle = row + L::kCount;
    const float* const end = middle + L::kCount;
    const Vector a = kInside ? L::load(row) : L::load(row, mask_[0]);
    const Vector b = kInside ? L::load(middle) : L::load(middle, mask_[1]);
    Vector last = L::widen(kInside ? Lanes4::load(end) : Lanes4::load(end, last_));
    taps[0] = L::even(a, b);
    taps[1] = L::odd(a, b);
    for (int t = 2; t < kTaps; ++t) {
      taps[t] = L::next(taps[t - 2], last);
      last = L::next(last, last);
    }
  }

 private:
  bool inside_;
  typename L::Mask mask_[2];
  Lanes4::Mask last_;
};

}  // namespace
}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_DEPTHWISE_PARTS_H_
