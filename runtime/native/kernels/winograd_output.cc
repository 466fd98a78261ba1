// The output transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
#include "kernels/smooth_outputs.h"
#include "kernels/winograd_kernel.h"
#include "kernels/winograd_transforms.h"
#include "simd/epilogue.h"
#include "simd/lanes.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// Turns element j of every tile in y[j] into neighbouring outputs.
inline void join_tiles(vf (&y)[2]) { zip(y[0], y[1]); }

inline void join_tiles(vf (&y)[4]) {
#if SPARSEPASS_LANES == 8  // whose zip takes four instructions
  transpose_squares(y);
  exchange<4>(y[0], y[1]);
  exchange<4>(y[2], y[3]);
  const vf third = y[1];
  y[1] = y[2];
  y[2] = third;
#else
  zip(y[0], y[2]);
  zip(y[1], y[3]);
  zip(y[0], y[1]);
  zip(y[2], y[3]);
#endif
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

// Finishes `columns` neighbouring outputs, or all of kCount vectors if those are more.
//
// The next filter is a plane away: out of reach of the processor's own prefetching.
template <int kCount>
SPARSEPASS_INLINE void store_neighbours(vf (&values)[kCount], const float* residual,
                                        const Activation& activation, float* y, int64_t columns,
                                        int64_t next) {
  if (columns >= kCount * kLanes) {
    if (residual != nullptr) {
      for (int j = 0; j < kCount; ++j) values[j] += load(residual + j * kLanes);
    }
    activation.apply(values);
    for (int j = 0; j < kCount; ++j) {
      if (j * kLanes % 16 == 0) __builtin_prefetch(y + j * kLanes + next, 1);
      store(y + j * kLanes, values[j]);
    }
    return;
  }
  for (int j = 0; j < kCount && j * kLanes < columns; ++j) {
    __builtin_prefetch(y + j * kLanes + next, 1);
    store_outputs(values[j], residual, activation, y, j * kLanes, columns - j * kLanes);
  }
}

// The outputs of one filter and a single tile row.
template <int kOut, int kTile>
void store_row(const WinogradOutput& job, int64_t filter) {
  const vf bias = splat(job.bias[filter]);
  const Activation activation(job.epilogue);
  const float* sums = job.sums + filter * job.filter_stride;
  const int64_t out_w = job.out_w, plane_stride = job.plane_stride, rows = job.rows;
  float* y = job.y + filter * plane_stride;
  const float* residual = job.residual ? job.residual + filter * plane_stride : nullptr;
  int64_t columns = job.columns;
  for (int64_t tile = 0; tile < job.row_tiles; tile += kLanes) {
    const auto finish = [&](int i, vf(&outputs)[kOut]) {
      if (i >= rows) return;
      for (int j = 0; j < kOut; ++j) outputs[j] += bias;
      const float* from = residual ? residual + i * out_w : nullptr;
      store_neighbours(outputs, from, activation, y + i * out_w, columns, plane_stride);
    };
    transform_tiles<kOut, kTile>(sums + tile, job.position_stride, finish);
    y += kOut * kLanes;
    if (residual) residual += kOut * kLanes;
    columns -= kOut * kLanes;
  }
}

// Of several tile rows, the outputs of all tiles lie behind each other first.
template <int kOut, int kTile>
void store_rows(const WinogradOutput& job, int64_t filter) {
  const vf bias = splat(job.bias[filter]);
  const Activation activation(job.epilogue);
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
  const int64_t out_w = job.out_w, columns = job.columns, next = job.plane_stride;
  float* y = job.y + filter * next;
  const float* residual = job.residual ? job.residual + filter * next : nullptr;
  for (int64_t row = 0, end = job.rows; row < end; ++row, y += out_w) {
    const float* from = job.memory + row % kOut * row_stride + row / kOut * job.row_tiles * kOut;
    for (int64_t x = 0; x < columns; x += kLanes) {
      vf value[1] = {load(from + x) + bias};
      store_neighbours(value, residual ? residual + x : nullptr, activation, y + x, columns - x,
                       next);
    }
    if (residual) residual += out_w;
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
