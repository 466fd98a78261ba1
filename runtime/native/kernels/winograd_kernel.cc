// The input and output transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
//
// dense/winograd_variant.cc has the interpolation points and says why these.
#include "kernels/winograd_kernel.h"

#include "simd/epilogue.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// B^T d.
inline void transform_input(const vf (&d)[4], vf (&v)[4]) {
  v[0] = d[2] - d[0];
  v[1] = d[2] + d[1];
  v[2] = d[2] - d[1];
  v[3] = d[3] - d[1];
}

inline void transform_input(const vf (&d)[6], vf (&v)[6]) {
  const vf a = splat(0.75f), aa = splat(0.5625f), b = splat(1.5f), bb = splat(2.25f);
  const vf sum = splat(2.8125f), product = splat(1.265625f);  // aa + bb, aa * bb
  vf even = d[4] - bb * d[2], odd = d[3] - bb * d[1];
  v[0] = product * d[0] + (d[4] - sum * d[2]);
  v[1] = even + a * odd;
  v[2] = even - a * odd;
  v[5] = product * d[1] + (d[5] - sum * d[3]);
  even = d[4] - aa * d[2];
  odd = d[3] - aa * d[1];
  v[3] = even + b * odd;
  v[4] = even - b * odd;
}

inline void transform_input(const vf (&d)[7], vf (&v)[7]) {
  const vf points[3] = {splat(0.25f), splat(0.875f), splat(1.75f)};
  // Of the squares of the other two points: their sum and their product.
  const vf sums[3] = {splat(3.828125f), splat(3.125f), splat(0.828125f)};
  const vf products[3] = {splat(2.3447265625f), splat(0.19140625f), splat(0.0478515625f)};
  for (int i = 0; i < 3; ++i) {
    vf odd = (d[5] - sums[i] * d[3]) + products[i] * d[1];
    vf even = (d[4] - sums[i] * d[2]) + products[i] * d[0];
    v[2 * i] = odd + points[i] * even;
    v[2 * i + 1] = odd - points[i] * even;
  }
  v[6] = (d[6] - splat(3.890625f) * d[4]) +
         (splat(2.583984375f) * d[2] - splat(0.14654541015625f) * d[0]);
}

// A^T s.
inline void transform_output(const vf (&s)[4], vf (&y)[2]) {
  y[0] = s[0] + (s[1] + s[2]);
  y[1] = s[3] + (s[1] - s[2]);
}

inline void transform_output(const vf (&s)[6], vf (&y)[4]) {
  const vf a = splat(0.75f), aa = splat(0.5625f), aaa = splat(0.421875f);
  const vf b = splat(1.5f), bb = splat(2.25f), bbb = splat(3.375f);
  vf even = s[1] + s[2], odd = s[1] - s[2];
  vf even_b = s[3] + s[4], odd_b = s[3] - s[4];
  y[0] = s[0] + (even + even_b);
  y[1] = a * odd + b * odd_b;
  y[2] = aa * even + bb * even_b;
  y[3] = aaa * odd + (bbb * odd_b + s[5]);
}

inline void transform_output(const vf (&s)[7], vf (&y)[4]) {
  const vf a = splat(0.25f), aa = splat(0.0625f), aaa = splat(0.015625f);
  const vf b = splat(0.875f), bb = splat(0.765625f), bbb = splat(0.669921875f);
  const vf c = splat(1.75f), cc = splat(3.0625f), ccc = splat(5.359375f);
  vf even_a = s[0] + s[1], odd_a = s[0] - s[1];
  vf even_b = s[2] + s[3], odd_b = s[2] - s[3];
  vf even_c = s[4] + s[5], odd_c = s[4] - s[5];
  y[0] = even_a + (even_b + even_c);
  y[1] = a * odd_a + (b * odd_b + c * odd_c);
  y[2] = aa * even_a + (bb * even_b + cc * even_c);
  y[3] = aaa * odd_a + (bbb * odd_b + (ccc * odd_c + s[6]));
}

// Cuts kLanes tiles out of a row in which `kStep` elements, a power of two, lie between the begins
// of two tiles: element kStride * j + phase of every tile goes to d[phase][j].
template <int kStep, int kStride, int kTile>
inline void gather_tiles(const float* row, vf (&d)[kStride][kTile]) {
  vf v[kStep];  // in the end, element i of every tile
  for (int i = 0; i < kStep; ++i) v[i] = load(row + i * kLanes);
  for (int distance = 1; distance < kStep; distance *= 2) {
    for (int i = 0; i < kStep; ++i) {
      if ((i & distance) == 0) unzip(v[i], v[i + distance]);
    }
  }
  for (int phase = 0; phase < kStride; ++phase) {
    for (int j = 0; j < kTile; ++j) {
      int i = kStride * j + phase;
      d[phase][j] = i < kStep ? v[i] : shift_in(v[i - kStep], row[kStep * (kLanes - 1) + i]);
    }
  }
}

// Turns element j of every tile in y[j] into neighbouring outputs.
inline void join_tiles(vf (&y)[2]) { zip(y[0], y[1]); }

inline void join_tiles(vf (&y)[4]) {
  zip(y[0], y[2]);
  zip(y[1], y[3]);
  zip(y[0], y[1]);
  zip(y[2], y[3]);
}

// Columns of the tiles that lie inside the input, and rows aligned for them.
struct Window {
  int64_t begin, end;
  float* rows;
};

template <int kOut, int kTaps, int kStride>
Window clear_rows(const WinogradInput& job) {
  int64_t width = (job.tiles * kOut + kTaps - 1) * kStride;
  int64_t begin = smaller(width, larger(0, -job.first_x));
  int64_t end = larger(begin, smaller(width, job.in_w - job.first_x));
  float* rows = job.rows + (kLanes - begin % kLanes) % kLanes;
  for (int i = 0; i < kOut + kTaps - 1; ++i) {
    float* row = rows + i * job.row_stride;
    for (int64_t x = 0; x < begin; ++x) row[x] = 0;
    for (int64_t x = end; x < width; ++x) row[x] = 0;
  }
  return {begin, end, rows};
}

// B^T d for whole input rows, from `first_y` on every kStride-th.  Returns zeros, or a NaN where
// not all of d is finite.
template <int kTile, int kStride>
vf transform_rows(const WinogradInput& job, const float* plane, int64_t first_y,
                  const Window& window) {
  const float* from[kTile];
  for (int i = 0; i < kTile; ++i) {
    int64_t y = first_y + i * kStride;
    bool inside = y >= 0 && y < job.in_h;
    from[i] = (inside ? plane + y * job.in_w : job.zeros) + (job.first_x + window.begin);
  }
  int64_t count = window.end - window.begin, plane_stride = job.in_h * job.in_w;
  vf check = {};
  for (int64_t x = 0; x < count; x += kLanes) {
    float* to = window.rows + window.begin + x;
    vf d[kTile], v[kTile];
    // The next channel is a plane away: out of reach of the processor's own prefetching.
    for (int i = 0; i < kTile; ++i) __builtin_prefetch(from[i] + x + plane_stride);
    if (x + kLanes <= count) {
      for (int i = 0; i < kTile; ++i) d[i] = load(from[i] + x);
    } else {
      for (int i = 0; i < kTile; ++i) d[i] = load_first(from[i] + x, count - x);
    }
    transform_input(d, v);
    // The first and the last row of B^T together read all of d.
    check = fma(v[0] + v[kTile - 1], vf{}, check);
    for (int i = 0; i < kTile; ++i) store(to + i * job.row_stride, v[i]);
  }
  return check;
}

// (B^T d) B for every tile of the transformed rows, a channel for each phase of the columns.
template <int kOut, int kTaps, int kStride>
void transform_columns(const WinogradInput& job, const float* rows, float* out) {
  constexpr int kTile = kOut + kTaps - 1, kStep = kOut * kStride;
  for (int64_t tile = 0; tile < job.tiles; tile += kLanes) {
    int64_t count = job.tiles - tile;
    for (int i = 0; i < kTile; ++i) {
      vf d[kStride][kTile], v[kTile];
      gather_tiles<kStep>(rows + i * job.row_stride + tile * kStep, d);
      for (int phase = 0; phase < kStride; ++phase) {
        transform_input(d[phase], v);
        float* to = out + phase * job.channel_stride + i * kTile * job.position_stride + tile;
        if (count >= kLanes) {
          for (int j = 0; j < kTile; ++j) store(to + j * job.position_stride, v[j]);
        } else {
          for (int j = 0; j < kTile; ++j) store_first(to + j * job.position_stride, v[j], count);
        }
      }
    }
  }
}

template <int kOut, int kTaps, int kStride>
bool transform_input_tiles(const WinogradInput& job) {
  Window window = clear_rows<kOut, kTaps, kStride>(job);
  vf check = {};
  for (int64_t c = 0; c < job.channels; ++c) {
    const float* plane = job.x + c * job.in_h * job.in_w;
    for (int phase = 0; phase < kStride; ++phase) {
      float* out = job.out + phase * job.row_phase_stride + c * kStride * job.channel_stride;
      check += transform_rows<kOut + kTaps - 1, kStride>(job, plane, job.first_y + phase, window);
      transform_columns<kOut, kTaps, kStride>(job, window.rows, out);
    }
  }
  return is_zero(check);
}

template <int kOut, int kTaps>
bool transform_input_tiles(const WinogradInput& job) {
  switch (job.stride) {
    case 1:
      return transform_input_tiles<kOut, kTaps, 1>(job);
    case 2:
      return transform_input_tiles<kOut, kTaps, 2>(job);
    default:
      return transform_input_tiles<kOut, kTaps, 4>(job);
  }
}

template <int kOut, int kTaps>
void transform_output_tiles(const WinogradOutput& job) {
  constexpr int kTile = kOut + kTaps - 1;
  for (int64_t f = 0; f < job.filters; ++f) {
    vf bias = splat(job.bias[f]);
    for (int64_t tile = 0; tile < job.tiles; tile += kLanes) {
      const float* sums = job.sums + f * job.filter_stride + tile;
      vf columns[kOut][kTile];
      for (int j = 0; j < kTile; ++j) {
        vf s[kTile], y[kOut];
        for (int i = 0; i < kTile; ++i) s[i] = load(sums + (i * kTile + j) * job.position_stride);
        transform_output(s, y);
        for (int i = 0; i < kOut; ++i) columns[i][j] = y[i];
      }
      for (int i = 0; i < kOut; ++i) {
        if (i >= job.rows) break;
        vf y[kOut];
        transform_output(columns[i], y);
        join_tiles(y);
        for (int j = 0; j < kOut; ++j) {
          int64_t x = tile * kOut + j * kLanes;
          if (x < job.columns) {
            int64_t at = f * job.plane_stride + i * job.out_w + x;
            __builtin_prefetch(job.y + at + job.plane_stride, 1);
            store_outputs(y[j] + bias, job.residual, job.epilogue, job.y, at, job.columns - x);
          }
        }
      }
    }
  }
}

}  // namespace

bool winograd_f23_input(const WinogradInput& job) { return transform_input_tiles<2, 3>(job); }
bool winograd_f43_input(const WinogradInput& job) { return transform_input_tiles<4, 3>(job); }
bool winograd_f44_input(const WinogradInput& job) { return transform_input_tiles<4, 4>(job); }
void winograd_f23_output(const WinogradOutput& job) { transform_output_tiles<2, 3>(job); }
void winograd_f43_output(const WinogradOutput& job) { transform_output_tiles<4, 3>(job); }
void winograd_f44_output(const WinogradOutput& job) { transform_output_tiles<4, 4>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
