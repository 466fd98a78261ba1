// Depthwise convolution straight from the NCHW tensor, without a copy.
//
// A block is up to four output rows by one vector of columns.  Each input row is loaded once per
// tap column and multiplied into every output row of the block that reads it; padding is a mask at
// the sides, and rows that do not exist at top and bottom.  Blocks go along the rows first, those
// that reach into the sides after all others of a part of the map that stays in the cache.
#include "kernels/depthwise_kernel.h"

#include "base/tuning.h"
#include "kernels/depthwise_parts.h"
#include "simd/lanes.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

constexpr int64_t kMostRows = tuning.depthwise_rows;

// Kernels of one size and stride.
template <int kKernel, int kStride>
struct Square {
  template <class L>
  static void compute(const DepthwiseJob& job, const Part& part) {
    const auto is_inside = [&](int64_t a) {
      const int64_t first = (part.column + a * L::kCount) * kStride - job.pad_left;
      return Window<L, kKernel, kStride>(first, job.dilation_w, job.in_w).inside();
    };
    int64_t begin = 0;
    while (begin < part.across && !is_inside(begin)) ++begin;
    int64_t end = begin;
    while (end < part.across && is_inside(end)) ++end;
    if (begin < end) columns<L>(job, part, begin, end - begin);
    for (int64_t a = 0; a < begin; ++a) columns<L>(job, part, a, 1);
    for (int64_t a = end; a < part.across; ++a) columns<L>(job, part, a, 1);
  }

 private:
  template <class L>
  struct Weight {
    typename L::Vector bias, taps[kKernel][kKernel];
  };

  // `count` vectors of columns that read no padding, or one that does: all rows and filters of the
  // part.
  template <class L>
  static void columns(const DepthwiseJob& job, const Part& part, int64_t across, int64_t count) {
    const int64_t column = part.column + across * L::kCount;
    const int64_t first = column * kStride - job.pad_left;
    const Window<L, kKernel, kStride> window(first, job.dilation_w, job.in_w);
    const Finish<L> finish(job);
    const int64_t in_h = job.in_h, in_pitch = part.step * job.in_w;
    const int64_t out_pitch = part.step * job.out_w;
    const int64_t span = (kMostRows - 1) * kStride + kKernel;
    for (int64_t f = part.first; f < part.last; ++f) {
      Weight<L> weight;
      const float* values = job.weight + f * kKernel * kKernel;
      weight.bias = L::splat(job.bias[f]);
      for (int k = 0; k < kKernel; ++k) {
        for (int t = 0; t < kKernel; ++t) weight.taps[k][t] = L::splat(*values++);
      }
      const int64_t channel = job.multiplier == 1 ? f : f / job.multiplier;
      int64_t row = part.row * kStride - job.pad_top;
      const float* x = job.x + (channel * in_h + row) * job.in_w + first;
      int64_t out = (f * job.out_h + part.row) * job.out_w + column;
      int64_t left = part.rows;
      for (; left >= kMostRows; left -= kMostRows) {
        const bool inside = row >= 0 && row + (span - 1) * part.step < in_h;
        if (L::kCount == WidestLanes::kCount && inside && window.inside()) {
          interior<L>(x, in_pitch, weight, window, finish, out, out_pitch, count);
        } else if (inside) {
          for (int64_t a = 0; a < count * L::kCount; a += L::kCount) {
            block<L, kMostRows, true, false>(x + a * kStride, in_pitch, 0, span, weight, window,
                                             finish, out + a, out_pitch);
          }
        } else {
          edge<L, kMostRows>(x, in_pitch, row, part.step, in_h, weight, window, finish, out,
                             out_pitch, count);
        }
        row += kMostRows * kStride * part.step;
        x += kMostRows * kStride * in_pitch;
        out += kMostRows * out_pitch;
      }
      switch (left) {
        case 1:
          edge<L, 1>(x, in_pitch, row, part.step, in_h, weight, window, finish, out, out_pitch,
                     count);
          break;
        case 2:
          edge<L, 2>(x, in_pitch, row, part.step, in_h, weight, window, finish, out, out_pitch,
                     count);
          break;
        case 3:
          edge<L, 3>(x, in_pitch, row, part.step, in_h, weight, window, finish, out, out_pitch,
                     count);
          break;
      }
    }
  }

  // Blocks next to each other that read no padding.  A function of its own, whose loop keeps the
  // weights in registers.
  template <class L>
  __attribute__((noinline)) static void interior(const float* x, int64_t in_pitch,
                                                 const Weight<L>& all,
                                                 const Window<L, kKernel, kStride>& window,
                                                 const Finish<L>& finish, int64_t out,
                                                 int64_t out_pitch, int64_t count) {
    const Weight<L> weight = all;
    const int64_t end = (kMostRows - 1) * kStride + kKernel;
    for (; count > 0; --count, x += L::kCount * kStride, out += L::kCount) {
      block<L, kMostRows, true, true>(x, in_pitch, 0, end, weight, window, finish, out, out_pitch);
    }
  }

  // Blocks next to each other that may read padding.  Their first input row is `row`.
  template <class L, int kRows>
  SPARSEPASS_INLINE static void edge(const float* x, int64_t in_pitch, int64_t row, int64_t step,
                                     int64_t in_h, const Weight<L>& weight,
                                     const Window<L, kKernel, kStride>& window,
                                     const Finish<L>& finish, int64_t out, int64_t out_pitch,
                                     int64_t count) {
    int64_t begin = 0, end = (kRows - 1) * kStride + kKernel;
    while (begin < end && row + begin * step < 0) ++begin;
    while (begin < end && row + (end - 1) * step >= in_h) --end;
    for (int64_t a = 0; a < count * L::kCount; a += L::kCount) {
      block<L, kRows, false, false>(x + a * kStride, in_pitch, begin, end, weight, window, finish,
                                    out + a, out_pitch);
    }
  }

  // Rows [begin, end) of those from `x` on are there, the others padding.
  template <class L, int kRows, bool kInsideRows, bool kInsideColumns>
  SPARSEPASS_INLINE static void block(const float* x, int64_t in_pitch, int64_t begin, int64_t end,
                                      const Weight<L>& weight,
                                      const Window<L, kKernel, kStride>& window,
                                      const Finish<L>& finish, int64_t out, int64_t out_pitch) {
    typename L::Vector sums[kRows];
    for (int i = 0; i < kRows; ++i) sums[i] = weight.bias;
#pragma GCC unroll 16
    for (int r = 0; r < (kRows - 1) * kStride + kKernel; ++r, x += in_pitch) {
      if (!kInsideRows && (r < begin || r >= end)) continue;
      typename L::Vector taps[kKernel];
      window.template load<kInsideColumns>(x, taps);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) {
        const int k = r - i * kStride;
        if (k < 0 || k >= kKernel) continue;
#pragma GCC unroll 8
        for (int t = 0; t < kKernel; ++t) sums[i] += weight.taps[k][t] * taps[t];
      }
    }
    finish.template store<kRows>(sums, out, out_pitch);
  }
};

// Kernels of any size, stride and dilation: every tap loads what it reads.
struct Any {
  template <class L>
  static void compute(const DepthwiseJob& job, const Part& part) {
    const Finish<L> finish(job);
    for (int64_t f = part.first; f < part.last; ++f) {
      for (int64_t a = 0; a < part.across; ++a) {
        const int64_t column = part.column + a * L::kCount;
        for (int64_t i = 0; i < part.rows; ++i) {
          const int64_t row = part.row + i * part.step;
          const typename L::Vector total = sum<L>(job, f, row, column);
          finish.template store<1>(&total, (f * job.out_h + row) * job.out_w + column, 0);
        }
      }
    }
  }

 private:
  template <class L>
  static typename L::Vector sum(const DepthwiseJob& job, int64_t f, int64_t row, int64_t column) {
    const float* weight = job.weight + f * job.kernel_h * job.kernel_w;
    const float* x = job.x + f / job.multiplier * job.in_h * job.in_w;
    typename L::Vector total = L::splat(job.bias[f]);
    for (int64_t k = 0; k < job.kernel_h; ++k, weight += job.kernel_w) {
      const int64_t in_row = row * job.stride_h - job.pad_top + k * job.dilation_h;
      if (in_row < 0 || in_row >= job.in_h) continue;
      int64_t first = column * job.stride_w - job.pad_left;
      for (int64_t t = 0; t < job.kernel_w; ++t, first += job.dilation_w) {
        total += L::splat(weight[t]) * tap<L>(x + in_row * job.in_w, first, job);
      }
    }
    return total;
  }

  template <class L>
  static typename L::Vector tap(const float* row, int64_t first, const DepthwiseJob& job) {
    if (job.stride_w == 1) return L::load(row + first, L::lanes(-first, job.in_w - first));
    typename L::Vector value = {};
    for (int i = 0; i < L::kCount; ++i) {
      const int64_t at = first + i * job.stride_w;
      if (at >= 0 && at < job.in_w) value[i] = row[at];
    }
    return value;
  }
};

// The last columns, which fill no vector of the widest type.
template <class Kernel, class L>
void last_columns(const DepthwiseJob& job, Part& part) {
  part.column = job.out_w > L::kCount ? job.out_w - L::kCount : 0;
  part.across = 1;
  Kernel::template compute<L>(job, part);
}

// All columns of some rows: whole vectors, then the narrowest vector that holds the rest.
template <class Kernel>
void columns_of(const DepthwiseJob& job, Part& part) {
  part.column = 0;
  part.across = job.out_w / WidestLanes::kCount;
  if (part.across) Kernel::template compute<WidestLanes>(job, part);
  const int64_t rest = job.out_w % WidestLanes::kCount;
  if (rest == 0) return;
  if (rest <= NarrowLanes::kCount) return last_columns<Kernel, NarrowLanes>(job, part);
  last_columns<Kernel, WidestLanes>(job, part);
}

template <class Kernel>
void filters_of(const DepthwiseJob& job) {
  // Rows that are a dilation apart read the same input rows.
  const int64_t step = job.stride_h == 1 ? job.dilation_h : 1;
  const int64_t phases = step < job.out_h ? step : job.out_h;
  // Several small maps at once, or some rows of a large one.
  const int64_t map = job.in_h * job.in_w;
  const int64_t filters = map < job.cached_floats ? job.cached_floats / map : 1;
  const int64_t cached_rows = job.cached_floats / (job.in_w * job.stride_h) / kMostRows * kMostRows;
  const int64_t most_rows = cached_rows > kMostRows ? cached_rows : kMostRows;
  for (int64_t f = job.first; f < job.last; f += filters) {
    for (int64_t phase = 0; phase < phases; ++phase) {
      Part part = {};
      part.first = f;
      part.last = job.last < f + filters ? job.last : f + filters;
      part.step = step;
      int64_t rows = (job.out_h - phase + step - 1) / step;
      for (part.row = phase; rows > 0; part.row += part.rows * step, rows -= part.rows) {
        part.rows = rows < most_rows ? rows : most_rows;
        columns_of<Kernel>(job, part);
      }
    }
  }
}

// One row, a scale and a shift for each filter.
template <class L>
void scale_row(const DepthwiseJob& job) {
  const Finish<L> finish(job);
  const typename L::Mask inside = L::lanes(0, job.out_w);
  const int64_t last = job.out_w > L::kCount ? job.out_w - L::kCount : 0;
  for (int64_t f = job.first; f < job.last; ++f) {
    const float* x = job.x + f / job.multiplier * job.in_w;
    const typename L::Vector weight = L::splat(job.weight[f]), bias = L::splat(job.bias[f]);
    for (int64_t column = 0;; column += L::kCount) {
      const int64_t at = column < last ? column : last;
      const typename L::Vector value = last > 0 ? L::load(x + at) : L::load(x + at, inside);
      const typename L::Vector sum = value * weight + bias;
      finish.template store<1>(&sum, f * job.out_w + at, 0);
      if (column >= last) break;
    }
  }
}

}  // namespace

void depthwise(const DepthwiseJob& job) {
  if (job.kernel_h == 1 && job.kernel_w == 1 && job.in_h == 1 && job.out_h == 1 &&
      job.in_w == job.out_w && job.stride_w == 1 && job.pad_top == 0 && job.pad_left == 0) {
    return scale_row<WidestLanes>(job);
  }
  const bool square = job.kernel_h == job.kernel_w && job.stride_h == job.stride_w;
  const bool dilated = job.dilation_h != 1 || job.dilation_w != 1;
  const int64_t size = square ? job.kernel_h : 0;
  const int64_t stride = dilated && job.stride_h > 1 ? 0 : job.stride_h;
  if (size == 3 && stride == 1) return filters_of<Square<3, 1>>(job);
  if (size == 5 && stride == 1) return filters_of<Square<5, 1>>(job);
  if (size == 3 && stride == 2) return filters_of<Square<3, 2>>(job);
  if (size == 5 && stride == 2) return filters_of<Square<5, 2>>(job);
  filters_of<Any>(job);
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
