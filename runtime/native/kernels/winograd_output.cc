// The output transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
//
// dense/winograd_variant.cc has the interpolation points and says why these.
#include "kernels/smooth_outputs.h"
#include "kernels/winograd_kernel.h"
#include "simd/epilogue.h"
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

// A^T s A for every tile of one filter, the rows of outputs `row_stride` floats apart.
template <int kOut, int kTaps>
inline void transform_sums(const WinogradOutput& job, const float* sums, int64_t row_stride) {
  constexpr int kTile = kOut + kTaps - 1;
  for (int64_t tile = 0; tile < job.tile_rows * job.row_tiles; tile += kLanes) {
    vf columns[kOut][kTile];
    for (int j = 0; j < kTile; ++j) {
      vf s[kTile], y[kOut];
      for (int i = 0; i < kTile; ++i) {
        s[i] = load(sums + (i * kTile + j) * job.position_stride + tile);
      }
      transform_output(s, y);
      for (int i = 0; i < kOut; ++i) columns[i][j] = y[i];
    }
    for (int i = 0; i < kOut; ++i) {
      vf y[kOut];
      transform_output(columns[i], y);
      join_tiles(y);
      float* to = job.memory + i * row_stride + tile * kOut;
      for (int j = 0; j < kOut; ++j) store(to + j * kLanes, y[j]);
    }
  }
}

template <int kOut, int kTaps>
void transform_output_tiles(const WinogradOutput& job) {
  const int64_t row_stride = (job.tile_rows * job.row_tiles + 15) / 16 * 16 * kOut;
  for (int64_t f = 0; f < job.filters; ++f) {
    transform_sums<kOut, kTaps>(job, job.sums + f * job.filter_stride, row_stride);
    const vf bias = splat(job.bias[f]);
    for (int64_t row = 0; row < job.rows; ++row) {
      const float* from = job.memory + row % kOut * row_stride + row / kOut * job.row_tiles * kOut;
      const int64_t at = f * job.plane_stride + row * job.out_w;
      for (int64_t x = 0; x < job.columns; x += kLanes) {
        __builtin_prefetch(job.y + at + x + job.plane_stride, 1);
        store_outputs(load(from + x) + bias, job.residual, job.epilogue, job.y, at + x,
                      job.columns - x);
      }
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
