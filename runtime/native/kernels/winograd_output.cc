// The output transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
//
// dense/winograd_variant.cc has the interpolation points and says why these.
#include "kernels/smooth_outputs.h"
#include "kernels/winograd_kernel.h"
#include "simd/epilogue.h"
#include "simd/lanes.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// A^T s.
inline void transform_output(const vf (&s)[4], vf (&y)[2]) {
  y[0] = s[0] + (s[1] + s[2]);
  y[1] = s[3] + (s[1] - s[2]);
}

inline void transform_output(const vf (&s)[5], vf (&y)[4]) {
  const vf a = splat(0.5f), aa = splat(0.25f), aaa = splat(0.125f);
  const vf b = splat(1.25f), bb = splat(1.5625f), bbb = splat(1.953125f);
  vf even = s[0] + s[1], odd = s[0] - s[1];
  vf even_b = s[2] + s[3], odd_b = s[2] - s[3];
  y[0] = even + even_b;
  y[1] = a * odd + b * odd_b;
  y[2] = aa * even + bb * even_b;
  y[3] = aaa * odd + (bbb * odd_b + s[4]);
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

// Turns element j of every tile in y[j] into neighbouring outputs.
inline void join_tiles(vf (&y)[2]) { zip(y[0], y[1]); }

inline void join_tiles(vf (&y)[4]) {
  zip(y[0], y[2]);
  zip(y[1], y[3]);
  zip(y[0], y[1]);
  zip(y[2], y[3]);
}

// A^T s A for kLanes tiles from `sums` on: store(i, y) for every row i of outputs, of which y[j]
// has kLanes * j and on.
template <int kOut, int kTile, class Store>
SPARSEPASS_INLINE void transform_tiles(const float* sums, int64_t position_stride,
                                       const Store& store) {
  vf columns[kOut][kTile];
  for (int j = 0; j < kTile; ++j) {
    vf s[kTile], y[kOut];
    for (int i = 0; i < kTile; ++i) s[i] = load(sums + (i * kTile + j) * position_stride);
    transform_output(s, y);
    for (int i = 0; i < kOut; ++i) columns[i][j] = y[i];
  }
  for (int i = 0; i < kOut; ++i) {
    vf y[kOut];
    transform_output(columns[i], y);
    join_tiles(y);
    store(i, y);
  }
}

// The outputs of one filter and a single tile row.
template <int kOut, int kTile>
void store_row(const WinogradOutput& job, int64_t filter) {
  const vf bias = splat(job.bias[filter]);
  const float* sums = job.sums + filter * job.filter_stride;
  for (int64_t tile = 0; tile < job.row_tiles; tile += kLanes) {
    const auto finish = [&](int i, const vf(&y)[kOut]) {
      if (i >= job.rows) return;
      for (int j = 0; j < kOut; ++j) {
        const int64_t x = tile * kOut + j * kLanes;
        if (x < job.columns) {
          const int64_t at = filter * job.plane_stride + i * job.out_w + x;
          __builtin_prefetch(job.y + at + job.plane_stride, 1);
          store_outputs(y[j] + bias, job.residual, job.epilogue, job.y, at, job.columns - x);
        }
      }
    };
    transform_tiles<kOut, kTile>(sums + tile, job.position_stride, finish);
  }
}

// Of several tile rows, the outputs of all tiles lie behind each other first.
template <int kOut, int kTile>
void store_rows(const WinogradOutput& job, int64_t filter) {
  const vf bias = splat(job.bias[filter]);
  const float* sums = job.sums + filter * job.filter_stride;
  const int64_t tiles = job.tile_rows * job.row_tiles;
  const int64_t row_stride = (tiles + 15) / 16 * 16 * kOut;
  for (int64_t tile = 0; tile < tiles; tile += kLanes) {
    float* to = job.memory + tile * kOut;
    const auto keep = [&](int i, const vf(&y)[kOut]) {
      for (int j = 0; j < kOut; ++j) store(to + i * row_stride + j * kLanes, y[j]);
    };
    transform_tiles<kOut, kTile>(sums + tile, job.position_stride, keep);
  }
  for (int64_t row = 0; row < job.rows; ++row) {
    const float* from = job.memory + row % kOut * row_stride + row / kOut * job.row_tiles * kOut;
    const int64_t at = filter * job.plane_stride + row * job.out_w;
    for (int64_t x = 0; x < job.columns; x += kLanes) {
      __builtin_prefetch(job.y + at + x + job.plane_stride, 1);
      store_outputs(load(from + x) + bias, job.residual, job.epilogue, job.y, at + x,
                    job.columns - x);
    }
  }
}

template <int kOut, int kTaps>
void transform_output_tiles(const WinogradOutput& job) {
  constexpr int kTile = kOut + kTaps - 1;
  for (int64_t f = 0; f < job.filters; ++f) {
    if (job.tile_rows == 1) {
      store_row<kOut, kTile>(job, f);
    } else {
      store_rows<kOut, kTile>(job, f);
    }
    smooth_activation(
        {job.epilogue.smooth, job.y + f * job.plane_stride, job.rows, job.out_w, job.columns});
  }
}

}  // namespace

void winograd_f23_output(const WinogradOutput& job) { transform_output_tiles<2, 3>(job); }
void winograd_f42_output(const WinogradOutput& job) { transform_output_tiles<4, 2>(job); }
void winograd_f43_output(const WinogradOutput& job) { transform_output_tiles<4, 3>(job); }
void winograd_f44_output(const WinogradOutput& job) { transform_output_tiles<4, 4>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
