// The input transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
//
// dense/winograd_variant.cc has the interpolation points and says why these.
#include "kernels/winograd_kernel.h"
#include "simd/quads.h"
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

inline void transform_input(const vf (&d)[5], vf (&v)[5]) {
  const vf a = splat(0.5f), aa = splat(0.25f), b = splat(1.25f), bb = splat(1.5625f);
  const vf sum = splat(1.8125f), product = splat(0.390625f);  // aa + bb, aa * bb
  vf odd = d[3] - bb * d[1], even = d[2] - bb * d[0];
  v[0] = odd + a * even;
  v[1] = odd - a * even;
  v[4] = product * d[0] + (d[4] - sum * d[2]);
  odd = d[3] - aa * d[1];
  even = d[2] - aa * d[0];
  v[2] = odd + b * even;
  v[3] = odd - b * even;
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

typedef int32_t vi __attribute__((vector_size(4 * SPARSEPASS_LANES)));

// The input transform of one band, for planes of one phase of the rows.
//
// Of a single tile row, all input rows are mixed first, then each is cut into tiles.  Where there
// are more, every input row is cut into tiles first, once for all tile rows that it is in.
//
// Tile row r takes rows m * r + q of the phase, for q up to m + taps - 2.  Rows with the same q < m
// lie behind each other, so that all tiles of the band are neighbours, and those with the other q
// are rows of the tile row below.
//
// What the last tile of a row has beyond its step lies where the next row begins.  Where that is
// padding there, the one is left out of the first tiles, elsewhere the other of the last tiles: it
// is padding.  Where neither is, rows keep a distance, and every row is a line of its own.
template <int kOut, int kTaps, int kStride>
class InputBand {
  static constexpr int kTile = kOut + kTaps - 1, kStep = kOut * kStride;
  static constexpr int kTails = (kTaps - 1) * kStride;

 public:
  explicit InputBand(const WinogradInput& job)
      : job_(job),
        begin_(smaller(job.row_tiles * kStep + kTails, larger(0, -job.first_x))),
        end_(larger(begin_, smaller(job.row_tiles * kStep + kTails, job.in_w - job.first_x))),
        joined_(job.tile_rows > 1 && (begin_ >= kTails || end_ - begin_ <= job.row_tiles * kStep)),
        row_(job.row_tiles * kStep + (joined_ ? 0 : kTails)),
        lines_(job.tile_rows == 1 ? kTile + 1 : kOut),
        rows_stride_(winograd_line_floats(row_, job.tile_rows)),
        transformed_stride_(winograd_line_floats(job.row_tiles, job.tile_rows)),
        // Where the map is as wide as its tiles, what is copied begins with a whole vector.
        rows_(job.memory + (kLanes - begin_ % kLanes) % kLanes),
        transformed_(job.memory + 16 + lines_ * rows_stride_) {
    for (int i = 0; i < kLanes; ++i) first_lanes_[i] = static_cast<int32_t>(i % job.row_tiles);
    for (int64_t i = 0; i < lines_ * rows_stride_; ++i) rows_[i] = 0;
  }

  // Writes the transform of one plane to `out`; returns zeros, or a NaN where it is not finite.
  vf transform(int64_t plane, int64_t phase, float* out) const {
    const float* x = job_.x + plane * job_.in_h * job_.in_w;
    if (job_.tile_rows == 1) {
      const vf check = mix_rows(x, phase);
      for (int i = 0; i < kTile; ++i) {
        transform_line(rows_ + i * rows_stride_, job_.row_tiles,
                       out + i * kTile * job_.position_stride, job_.channel_stride,
                       job_.position_stride, job_.row_tiles + job_.room);
      }
      return check;
    }
    const vf check = copy_rows(x, phase);
    for (int q = 0; q < kOut; ++q) transform_rows(q);
    transform_columns(out);
    return check;
  }

 private:
  // Tile rows that have a row q, with those below the band.
  int64_t count(int q) const { return job_.tile_rows + (q < kTaps - 1); }

  // B^T d for the rows of a single tile row.
  vf mix_rows(const float* plane, int64_t phase) const {
    const int64_t in_w = job_.in_w, plane_stride = job_.in_h * in_w, columns = end_ - begin_;
    const float* from[kTile];
    for (int i = 0; i < kTile; ++i) {
      const int64_t y = job_.first_y + phase + i * kStride;
      const bool inside = y >= 0 && y < job_.in_h;
      from[i] = inside ? plane + y * in_w + job_.first_x + begin_ : rows_ + kTile * rows_stride_;
    }
    vf check = {};
    for (int64_t x = 0; x < columns; x += kLanes) {
      vf d[kTile], v[kTile];
      for (int i = 0; i < kTile; ++i) {
        // The next channel is a plane away: out of reach of the processor's own prefetching.
        __builtin_prefetch(from[i] + x + plane_stride);
        d[i] = load_up_to(from[i] + x, columns - x);
      }
      transform_input(d, v);
      // The first and the last row of B^T together read all of d.
      check = fma(v[0] + v[kTile - 1], vf{}, check);
      for (int i = 0; i < kTile; ++i) {
        store_up_to(rows_ + i * rows_stride_ + begin_ + x, v[i], columns - x);
      }
    }
    return check;
  }

  // Stores of vectors may change anything, so that what loops need is taken out of the job before.
  vf copy_rows(const float* plane, int64_t phase) const {
    const int64_t in_h = job_.in_h, in_w = job_.in_w, columns = end_ - begin_;
    vf check = {};
    for (int q = 0; q < kOut; ++q) {
      float* to = rows_ + q * rows_stride_ + begin_;
      int64_t y = job_.first_y + phase + q * kStride;
      for (int64_t r = count(q); r > 0; --r, y += kOut * kStride, to += row_) {
        const bool inside = y >= 0 && y < in_h;
        const float* from = plane + y * in_w + job_.first_x + begin_;
        for (int64_t x = 0; x < columns; x += kLanes) {
          // The next channel is a plane away: out of reach of the processor's own prefetching.
          __builtin_prefetch(from + x + in_h * in_w);
          const vf v = inside ? load_up_to(from + x, columns - x) : vf{};
          check = fma(v, vf{}, check);
          store_up_to(to + x, v, columns - x);
        }
      }
    }
    return check;
  }

  // d B for the rows q of all tile rows.
  void transform_rows(int q) const {
    const int64_t stride = transformed_stride_, row_tiles = job_.row_tiles;
    const float* rows = rows_ + q * rows_stride_;
    float* out = transformed_ + q * kTile * kStride * stride;
    const int64_t lines = joined_ ? 1 : count(q), tiles = count(q) * row_tiles / lines;
    for (int64_t i = 0; i < lines; ++i, rows += row_, out += row_tiles) {
      transform_line(rows, tiles, out, kTile * stride, stride, tiles + kLanes);
    }
  }

  // The tiles of a line times B, whose floats up to `end` may be stored.
  void transform_line(const float* line, int64_t tiles, float* out, int64_t phase_stride,
                      int64_t position_stride, int64_t end) const {
    const int32_t row_tiles = static_cast<int32_t>(job_.row_tiles);
    vi lane = first_lanes_;
    for (int64_t tile = 0; tile < tiles; tile += kLanes) {
      vf d[kStride][kTile], v[kTile];
      gather_tiles(line + tile * kStep, lane == 0, lane == row_tiles - 1, d);
      for (int phase = 0; phase < kStride; ++phase) {
        transform_input(d[phase], v);
        float* to = out + phase * phase_stride + tile;
        for (int j = 0; j < kTile; ++j) store_up_to(to + j * position_stride, v[j], end - tile);
      }
      lane += kLanes % row_tiles;
      lane -= lane >= row_tiles ? vi{} + row_tiles : vi{};
    }
  }

  // Cuts kLanes tiles out of a line: element kStride * j + phase of every tile goes to d[phase][j].
  void gather_tiles(const float* line, vi first, vi last, vf (&d)[kStride][kTile]) const {
    vf v[kStep];  // in the end, element i of every tile
    load_pieces(line, v);
    for (int phase = 0; phase < kStride; ++phase) {
      for (int j = 0; j < kTile; ++j) {
        const int i = kStride * j + phase;
        if (i < kStep) {
          d[phase][j] = i < kTails && joined_ && i < begin_ ? (first ? vf{} : v[i]) : v[i];
        } else {
          vf next = shift_in(v[i - kStep], line[kStep * (kLanes - 1) + i]);
          d[phase][j] = joined_ && i - kStep >= begin_ ? (last ? vf{} : next) : next;
        }
      }
    }
  }

  // B^T (d B), a channel for each phase of the columns.
  void transform_columns(float* out) const {
    const int64_t tiles = job_.tile_rows * job_.row_tiles, row_tiles = job_.row_tiles;
    const int64_t row_stride = kTile * kStride * transformed_stride_;
    const int64_t position_stride = job_.position_stride, end = tiles + job_.room;
    for (int phase = 0; phase < kStride; ++phase) {
      for (int j = 0; j < kTile; ++j) {
        const float* from = transformed_ + (phase * kTile + j) * transformed_stride_;
        float* to = out + phase * job_.channel_stride + j * position_stride;
        for (int64_t tile = 0; tile < tiles; tile += kLanes) {
          vf d[kTile], v[kTile];
          for (int i = 0; i < kTile; ++i) {
            d[i] = load(from + i % kOut * row_stride + i / kOut * row_tiles + tile);
          }
          transform_input(d, v);
          for (int i = 0; i < kTile; ++i) {
            store_up_to(to + i * kTile * position_stride + tile, v[i], end - tile);
          }
        }
      }
    }
  }

  const WinogradInput& job_;
  const int64_t begin_, end_;  // columns of a row of tiles that lie inside the input
  const bool joined_;
  const int64_t row_, lines_, rows_stride_, transformed_stride_;
  vi first_lanes_;            // which tile of its row each lane of a line's first vector has
  float* const rows_;         // (q, tile row)
  float* const transformed_;  // (q, phase, position), each all tiles
};

template <int kOut, int kTaps, int kStride>
bool transform_input_tiles(const WinogradInput& job) {
  const InputBand<kOut, kTaps, kStride> band(job);
  vf check = {};
  for (int64_t c = 0; c < job.channels; ++c) {
    for (int phase = 0; phase < kStride; ++phase) {
      float* out = job.out + phase * job.row_phase_stride + c * kStride * job.channel_stride;
      check += band.transform(c, phase, out);
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

}  // namespace

bool winograd_f23_input(const WinogradInput& job) { return transform_input_tiles<2, 3>(job); }
bool winograd_f42_input(const WinogradInput& job) { return transform_input_tiles<4, 2>(job); }
bool winograd_f43_input(const WinogradInput& job) { return transform_input_tiles<4, 3>(job); }
bool winograd_f44_input(const WinogradInput& job) { return transform_input_tiles<4, 4>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
