// The copies that lower a convolution to a matrix product.
#include "kernels/lower_kernel.h"

#include "simd/rows.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// dst[j] = src[j * stride].
inline void copy_strided(const float* src, int64_t stride, int64_t count, float* dst) {
  if (stride == 1) return copy_row<1>(src, count, dst);
  if (stride == 2) return copy_row<2>(src, count, dst);
  for (int64_t j = 0; j < count; ++j) dst[j] = src[j * stride];
}

inline void zero(float* dst, int64_t count) {
  for (int64_t j = 0; j < count; ++j) dst[j] = 0;
}

// Output positions [begin, end) of a row of which kernel column `j` reads input elements, not
// padding.
struct Span {
  int64_t begin, end;
};

Span inside(const LowerJob& job, int64_t j) {
  const ConvParams& p = *job.params;
  int64_t shift = p.pad_left - j * p.dilation_w;
  int64_t begin = shift > 0 ? (shift + p.stride_w - 1) / p.stride_w : 0;
  int64_t last = job.in_w - 1 + shift;
  int64_t end = last < 0 ? 0 : smaller(job.out_w, last / p.stride_w + 1);
  return {smaller(begin, job.out_w), larger(end, 0)};
}

// What kernel column `j` reads in input row `in_y`, for output positions [first, last) of a row.
inline void lower_row(const LowerJob& job, const float* plane, int64_t in_y, int64_t j, Span span,
                      int64_t first, int64_t last, float* dst) {
  const ConvParams& p = *job.params;
  int64_t begin = smaller(last, larger(span.begin, first));
  int64_t end = smaller(last, span.end);
  if (in_y < 0 || in_y >= job.in_h || end <= begin) return zero(dst, last - first);
  zero(dst, begin - first);
  const float* src = plane + in_y * job.in_w + begin * p.stride_w - p.pad_left + j * p.dilation_w;
  copy_strided(src, p.stride_w, end - begin, dst + (begin - first));
  zero(dst + (end - first), last - end);
}

// Whether the rows of outputs that a tap reads lie in the plane as they do in the output.
bool keeps_rows(const LowerJob& job) {
  return job.params->stride_h == 1 && job.params->stride_w == 1 && job.out_w == job.in_w;
}

// The `count` elements that follow row `y` and column `x` of a plane, as one: where the step of
// the tap leads beyond the left or the right edge, a row has what lies in its neighbour, and gets
// zeros.  Row y and those behind may lie outside the plane.
inline void lower_shifted(const LowerJob& job, const float* plane, int64_t y, int64_t x,
                          int64_t step, int64_t count, float* dst) {
  const int64_t w = job.in_w, from = y * w + x + step;
  const int64_t begin = smaller(count, larger(0, larger(-from, -y * w - x)));
  const int64_t size = job.in_h * w;
  const int64_t end = larger(begin, smaller(count, smaller(size - from, size - y * w - x)));
  zero(dst, begin);
  if (begin < end) copy_row<1>(plane + from + begin, end - begin, dst + begin);
  zero(dst + end, count - end);
  // Columns [first, last) of every row lead beyond an edge.
  const int64_t first = step < 0 ? 0 : larger(0, w - step), last = step < 0 ? smaller(-step, w) : w;
  for (int64_t row = -x; row < count && first < last; row += w) {
    const int64_t stop = smaller(count, row + last);
    for (int64_t n = larger(0, row + first); n < stop; ++n) dst[n] = 0;
  }
}

}  // namespace

void lower_im2col(const LowerJob& job) {
  const ConvParams& p = *job.params;
  const bool shifts = keeps_rows(job);
  float* panel = job.panel;
  for (int64_t c = 0; c < job.channels; ++c) {
    const float* plane = job.x + c * job.in_h * job.in_w;
    for (int64_t i = 0; i < p.kernel_h; ++i) {
      for (int64_t j = 0; j < p.kernel_w; ++j, panel += job.panel_stride) {
        if (shifts) {
          lower_shifted(job, plane, job.first_column / job.in_w - p.pad_top + i * p.dilation_h,
                        job.first_column % job.in_w, j * p.dilation_w - p.pad_left, job.columns,
                        panel);
          continue;
        }
        Span span = inside(job, j);
        int64_t y = job.first_column / job.out_w, x = job.first_column % job.out_w;
        for (int64_t n = 0; n < job.columns; ++y, x = 0) {
          int64_t last = smaller(job.out_w, x + job.columns - n);
          int64_t in_y = y * p.stride_h - p.pad_top + i * p.dilation_h;
          lower_row(job, plane, in_y, j, span, x, last, panel + n);
          n += last - x;
        }
      }
    }
  }
}

void lower_mec(const LowerJob& job) {
  const ConvParams& p = *job.params;
  const bool shifts = keeps_rows(job);
  int64_t first_row = job.first_column / job.out_w * p.stride_h - p.pad_top;
  float* panel = job.panel;
  for (int64_t c = 0; c < job.channels; ++c) {
    const float* plane = job.x + c * job.in_h * job.in_w;
    for (int64_t j = 0; j < p.kernel_w; ++j, panel += job.panel_stride) {
      if (shifts) {
        lower_shifted(job, plane, first_row, 0, j * p.dilation_w - p.pad_left,
                      job.phase_rows * job.out_w, panel);
        continue;
      }
      Span span = inside(job, j);
      float* dst = panel;
      for (int64_t phase = 0; phase < p.stride_h; ++phase) {
        for (int64_t row = 0; row < job.phase_rows; ++row, dst += job.out_w) {
          int64_t in_y = first_row + row * p.stride_h + phase;
          lower_row(job, plane, in_y, j, span, 0, job.out_w, dst);
        }
      }
    }
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
