// Max pooling: the largest of each column of the windows first, vectorised along input rows, then
// the largest of neighbouring columns, vectorised along output rows.
//
// The input is read once for every window row that it takes part in, which is all the time it takes
// while a plane stays in cache.
//
// A NaN counts as ONNX Runtime has it in its kernels for the usual windows, 2 x 2 and 3 x 3 at a
// stride of 2: what comes behind it in the window, row by row, forgets it and all before it. Planes
// with one are computed anew, window by window.
#include "kernels/pool_kernel.h"

#include <limits>

#include "base/tuning.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Input rows or columns [begin, end) that exist in the window of an output.
struct Span {
  int64_t begin, end;
};

inline Span window(int64_t out, int64_t stride, int64_t pad, int64_t kernel, int64_t size) {
  int64_t first = out * stride - pad;
  return {larger(0, first), smaller(size, first + kernel)};
}

// The largest of rows [begin, end) of each column of the plane.  Returns NaN where one was read,
// and may where infinities were.
inline vf largest_of_columns(const PoolJob& job, const float* plane, Span rows, int64_t columns,
                             float* to) {
  vf check = {};
  for (int64_t x = 0; x < columns; x += kLanes) {
    const float* from = plane + rows.begin * job.in_w + x;
    int64_t count = columns - x;
    vf most, sum;
    if (count >= kLanes) {
      sum = most = load(from);
      for (int64_t y = rows.begin + 1; y < rows.end; ++y) {
        const vf value = load(from += job.in_w);
        most = max(value, most);
        sum += value;
      }
      store(to + x, most);
    } else {
      sum = most = load_first(from, count);
      for (int64_t y = rows.begin + 1; y < rows.end; ++y) {
        const vf value = load_first(from += job.in_w, count);
        most = max(value, most);
        sum += value;
      }
      store_first(to + x, most, count);
    }
    check += sum;
  }
  return check;
}

// kLanes outputs from `row` on, at a stride of 1 or 2.
template <int kStride>
inline vf largest_of_windows(const float* row, int64_t kernel) {
  vf most = splat(kLowest);
  if (kStride == 1) {
    for (int64_t j = 0; j < kernel; ++j) most = max(load(row + j), most);
    return most;
  }
  for (int64_t j = 0; j < kernel; j += 2) {
    vf even = load(row + j), odd = load(row + j + kLanes);
    unzip(even, odd);
    most = max(even, most);
    if (j + 1 < kernel) most = max(odd, most);
  }
  return most;
}

template <int kStride>
inline void pool_row(const PoolJob& job, const float* row, float* y) {
  for (int64_t x = 0; x < job.out_w; x += kLanes) {
    vf most = largest_of_windows<kStride>(row + x * kStride, job.params->kernel_w);
    if (x + kLanes <= job.out_w) {
      store(y + x, most);
    } else {
      store_first(y + x, most, job.out_w - x);
    }
  }
}

inline void pool_row_of_any_stride(const PoolJob& job, const float* row, float* y) {
  const PoolParams& p = *job.params;
  for (int64_t x = 0; x < job.out_w; ++x) {
    const float* from = row + x * p.stride_w;
    float most = from[0];
    for (int64_t j = 1; j < p.kernel_w; ++j) most = from[j] > most ? from[j] : most;
    y[x] = most;
  }
}

// One plane by the definition, NaN as above.
void pool_by_windows(const PoolJob& job, const float* plane, float* y) {
  const PoolParams& p = *job.params;
  for (int64_t out = 0; out < job.out_h * job.out_w; ++out) {
    const Span rows = window(out / job.out_w, p.stride_h, p.pad_top, p.kernel_h, job.in_h);
    const Span columns = window(out % job.out_w, p.stride_w, p.pad_left, p.kernel_w, job.in_w);
    float most = kLowest;
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      for (int64_t column = columns.begin; column < columns.end; ++column) {
        const float value = plane[row * job.in_w + column];
        most = most > value ? most : value;
      }
    }
    y[out] = most;
  }
}

bool has_nan(vf v) {
  for (int i = 0; i < kLanes; ++i) {
    if (v[i] != v[i]) return true;
  }
  return false;
}

}  // namespace

void max_pool(const PoolJob& job) {
  const PoolParams& p = *job.params;
  // Padding around the columns stays as it is; the last vectors also read what follows.
  int64_t floats = pool_row_floats(p, job.out_w);
  for (int64_t x = 0; x < tuning.pool_rows * floats; ++x) job.rows[x] = kLowest;
  int64_t columns = smaller(job.in_w, pool_row_length(p, job.out_w) - p.pad_left);
  float* y = job.y;
  for (int64_t i = 0; i < job.planes; ++i) {
    const float* plane = job.x + i * job.in_h * job.in_w;
    vf check = {};
    for (int64_t first = 0; first < job.out_h; first += tuning.pool_rows) {
      int64_t count = smaller(tuning.pool_rows, job.out_h - first);
      for (int64_t r = 0; r < count; ++r) {
        Span rows = window(first + r, p.stride_h, p.pad_top, p.kernel_h, job.in_h);
        check += largest_of_columns(job, plane, rows, columns, job.rows + r * floats + p.pad_left);
      }
      for (int64_t r = 0; r < count; ++r, y += job.out_w) {
        const float* row = job.rows + r * floats;
        if (p.stride_w == 1) {
          pool_row<1>(job, row, y);
        } else if (p.stride_w == 2) {
          pool_row<2>(job, row, y);
        } else {
          pool_row_of_any_stride(job, row, y);
        }
      }
    }
    if (has_nan(check)) pool_by_windows(job, plane, y - job.out_h * job.out_w);
  }
}

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
