// The input and output transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
//
// Interpolation points: 0, 1, -1, infinity and 0, 3/4, -3/4, 3/2, -3/2, infinity; winograd.cc has
// the transform of the weight and says why.
#include "../winograd_kernel.h"

#include "../simd.h"
#include "../vector_shuffle.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

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

// Cuts kLanes tiles out of a row: element j of every tile goes to d[j].
inline void gather_tiles(const float* row, vf (&d)[4]) {
  d[0] = load(row);
  d[1] = load(row + kLanes);
  unzip(d[0], d[1]);
  d[2] = shift_in(d[0], row[2 * kLanes]);
  d[3] = shift_in(d[1], row[2 * kLanes + 1]);
}

inline void gather_tiles(const float* row, vf (&d)[6]) {
  for (int i = 0; i < 4; ++i) d[i] = load(row + i * kLanes);
  unzip(d[0], d[1]);
  unzip(d[2], d[3]);
  unzip(d[0], d[2]);
  unzip(d[1], d[3]);
  d[4] = shift_in(d[0], row[4 * kLanes]);
  d[5] = shift_in(d[1], row[4 * kLanes + 1]);
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

template <int kTile>
Window clear_rows(const WinogradInput& job) {
  int64_t width = job.tiles * (kTile - 2) + 2;
  int64_t begin = smaller(width, larger(0, -job.first_x));
  int64_t end = larger(begin, smaller(width, job.in_w - job.first_x));
  float* rows = job.rows + (kLanes - begin % kLanes) % kLanes;
  for (int i = 0; i < kTile; ++i) {
    float* row = rows + i * job.row_stride;
    for (int64_t x = 0; x < begin; ++x) row[x] = 0;
    for (int64_t x = end; x < width; ++x) row[x] = 0;
  }
  return {begin, end, rows};
}

// B^T d for whole input rows.
template <int kTile>
void transform_rows(const WinogradInput& job, const float* plane, const Window& window) {
  const float* from[kTile];
  for (int i = 0; i < kTile; ++i) {
    int64_t y = job.first_y + i;
    bool inside = y >= 0 && y < job.in_h;
    from[i] = (inside ? plane + y * job.in_w : job.zeros) + (job.first_x + window.begin);
  }
  int64_t count = window.end - window.begin, plane_stride = job.in_h * job.in_w;
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
    for (int i = 0; i < kTile; ++i) store(to + i * job.row_stride, v[i]);
  }
}

// (B^T d) B for every tile of the transformed rows.
template <int kTile>
void transform_columns(const WinogradInput& job, const float* rows, float* out) {
  for (int64_t tile = 0; tile < job.tiles; tile += kLanes) {
    int64_t count = job.tiles - tile;
    for (int i = 0; i < kTile; ++i) {
      vf d[kTile], v[kTile];
      gather_tiles(rows + i * job.row_stride + tile * (kTile - 2), d);
      transform_input(d, v);
      float* to = out + i * kTile * job.position_stride + tile;
      if (count >= kLanes) {
        for (int j = 0; j < kTile; ++j) store(to + j * job.position_stride, v[j]);
      } else {
        for (int j = 0; j < kTile; ++j) store_first(to + j * job.position_stride, v[j], count);
      }
    }
  }
}

template <int kTile>
void transform_input_tiles(const WinogradInput& job) {
  Window window = clear_rows<kTile>(job);
  for (int64_t c = 0; c < job.channels; ++c) {
    transform_rows<kTile>(job, job.x + c * job.in_h * job.in_w, window);
    transform_columns<kTile>(job, window.rows, job.out + c * job.channel_stride);
  }
}

// Completes the first `count` of kLanes neighbouring outputs and stores them.
inline void finish(const WinogradOutput& job, vf v, vf bias, int64_t at, int64_t count) {
  bool whole = count >= kLanes;
  v += bias;
  if (job.residual != nullptr) {
    v += whole ? load(job.residual + at) : load_first(job.residual + at, count);
  }
  vf zero = {};
  v = v >= zero ? v : v * splat(job.epilogue.slope);
  v = min(splat(job.epilogue.high), max(splat(job.epilogue.low), v));
  if (whole) {
    store(job.y + at, v);
  } else {
    store_first(job.y + at, v, count);
  }
}

template <int kTile>
void transform_output_tiles(const WinogradOutput& job) {
  constexpr int kOut = kTile - 2;
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
            finish(job, y[j], bias, at, job.columns - x);
          }
        }
      }
    }
  }
}

}  // namespace

void winograd2_input(const WinogradInput& job) { transform_input_tiles<4>(job); }
void winograd4_input(const WinogradInput& job) { transform_input_tiles<6>(job); }
void winograd2_output(const WinogradOutput& job) { transform_output_tiles<4>(job); }
void winograd4_output(const WinogradOutput& job) { transform_output_tiles<6>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
