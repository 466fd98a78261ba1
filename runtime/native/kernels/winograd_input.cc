// The input transforms of Winograd convolution, for tiles of 2 x 2 and 4 x 4 outputs.
#include "kernels/winograd_kernel.h"
#include "kernels/winograd_transforms.h"
#include "simd/quads.h"
#include "simd/shuffle.h"
#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

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
  static constexpr int kLineFloats = 16;  // of a line of the cache

 public:
  explicit InputBand(const WinogradInput& job)
      : job_(job),
        begin_(smaller(job.row_tiles * kStep + kTails, larger(0, -job.first_x))),
        end_(larger(begin_, smaller(job.row_tiles * kStep + kTails, job.in_w - job.first_x))),
        joined_(job.tile_rows > 1 && (begin_ >= kTails || end_ - begin_ <= job.row_tiles * kStep)),
        row_(job.row_tiles * kStep + (joined_ ? 0 : kTails)),
        lines_(job.tile_rows == 1 ? kTile + 1 : kOut),
        rows_stride_(winograd_line_floats(row_, job.tile_rows)),
        transformed_stride_(winograd_transform_floats(job.row_tiles, job.tile_rows)),
        // Where the map is as wide as its tiles, what is copied begins with a whole vector.
        rows_(job.memory + (kLanes - begin_ % kLanes) % kLanes),
        transformed_(job.memory + 16 + whole_cache_lines(lines_ * rows_stride_)) {
    for (int i = 0; i < kLanes; ++i) first_lanes_[i] = static_cast<int32_t>(i % job.row_tiles);
    for (int64_t i = 0; i < lines_ * rows_stride_; ++i) rows_[i] = 0;
  }

  // Writes the transform of one plane to `out`; returns zeros, or a NaN where it is not finite.
  vf transform(int64_t plane, int64_t phase, float* out) const {
    const float* x = job_.x + plane * job_.in_h * job_.in_w;
    if (job_.tile_rows == 1) {
      const vf check = mix_rows(x, phase);
      for (int i = 0; i < kTile; ++i) {
        transform_line<false>(rows_ + i * rows_stride_, job_.row_tiles,
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
    float* to[kTile];
    for (int i = 0; i < kTile; ++i) {
      const int64_t y = job_.first_y + phase + i * kStride;
      const bool inside = y >= 0 && y < job_.in_h;
      from[i] = inside ? plane + y * in_w + job_.first_x + begin_ : rows_ + kTile * rows_stride_;
      to[i] = rows_ + i * rows_stride_ + begin_;
    }
    vf check = {};
    const int64_t whole = columns - columns % kLanes;
    for (int64_t x = 0; x < whole; x += kLanes) {
      if (x % kLineFloats == 0) fetch(from, x + plane_stride);
      check = mix<kLanes>(from, to, x, kLanes, check);
    }
    if (whole == columns) return check;
    fetch(from, whole + plane_stride);
    return mix<0>(from, to, whole, columns - whole, check);
  }

  // The next channel is a plane away: out of reach of the processor's own prefetching.
  SPARSEPASS_INLINE static void fetch(const float* const (&from)[kTile], int64_t at) {
    for (int i = 0; i < kTile; ++i) __builtin_prefetch(from[i] + at);
  }

  // One vector of them, kCount floats or, where that is 0, `count`.
  template <int kCount>
  SPARSEPASS_INLINE static vf mix(const float* const (&from)[kTile], float* const (&to)[kTile],
                                  int64_t x, int64_t count, vf check) {
    vf d[kTile], v[kTile];
    for (int i = 0; i < kTile; ++i) {
      d[i] = kCount ? load(from[i] + x) : load_first(from[i] + x, count);
    }
    transform_input(d, v);
    for (int i = 0; i < kTile; ++i) put<kCount>(to[i] + x, v[i], count);
    // The first and the last row of B^T together read all of d.
    return fma(v[0] + v[kTile - 1], vf{}, check);
  }

  template <int kCount>
  SPARSEPASS_INLINE static void put(float* p, vf v, int64_t count) {
    if (kCount) {
      store(p, v);
    } else {
      store_first(p, v, count);
    }
  }

  // Stores of vectors may change anything, so that what loops need is taken out of the job before.
  vf copy_rows(const float* plane, int64_t phase) const {
    const int64_t in_h = job_.in_h, in_w = job_.in_w, columns = end_ - begin_;
    const int64_t whole = columns - columns % kLanes;
    vf check = {};
    for (int q = 0; q < kOut; ++q) {
      float* to = rows_ + q * rows_stride_ + begin_;
      int64_t y = job_.first_y + phase + q * kStride;
      for (int64_t r = count(q); r > 0; --r, y += kOut * kStride, to += row_) {
        if (y < 0 || y >= in_h) {
          for (int64_t x = 0; x < columns; x += kLanes) store_up_to(to + x, vf{}, columns - x);
          continue;
        }
        const float* from = plane + y * in_w + job_.first_x + begin_;
        for (int64_t x = 0; x < whole; x += kLanes) {
          // The next channel is a plane away: out of reach of the processor's own prefetching.
          __builtin_prefetch(from + x + in_h * in_w);
          const vf v = load(from + x);
          check = fma(v, vf{}, check);
          store(to + x, v);
        }
        if (whole == columns) continue;
        __builtin_prefetch(from + whole + in_h * in_w);
        const vf v = load_first(from + whole, columns - whole);
        check = fma(v, vf{}, check);
        store_first(to + whole, v, columns - whole);
      }
    }
    return check;
  }

  // d B for the rows q of all tile rows.
  void transform_rows(int q) const {
    const int64_t stride = transformed_stride_, row_tiles = job_.row_tiles;
    const float* rows = rows_ + q * rows_stride_;
    float* out = transformed_ + q * kTile * kStride * stride;
    if (joined_) {
      const int64_t tiles = count(q) * row_tiles;
      return transform_line<true>(rows, tiles, out, kTile * stride, stride, tiles + kLanes);
    }
    for (int64_t i = count(q); i > 0; --i, rows += row_, out += row_tiles) {
      transform_line<false>(rows, row_tiles, out, kTile * stride, stride, row_tiles + kLanes);
    }
  }

  // The tiles of a line, of joined rows or not, times B, whose floats up to `end` may be stored.
  template <bool kJoined>
  void transform_line(const float* line, int64_t tiles, float* out, int64_t phase_stride,
                      int64_t position_stride, int64_t end) const {
    float* to[kStride * kTile];
    for (int i = 0; i < kStride * kTile; ++i) {
      to[i] = out + i / kTile * phase_stride + i % kTile * position_stride;
    }
    const int32_t row_tiles = static_cast<int32_t>(job_.row_tiles);
    vi lane = first_lanes_;
    int64_t tile = 0;
    for (const int64_t whole = smaller(tiles, end - kLanes + 1); tile < whole; tile += kLanes) {
      vf d[kStride][kTile];
      gather_tiles<kJoined>(line + tile * kStep, lane == 0, lane == row_tiles - 1, d);
      transform_tiles<kLanes>(d, to, tile, kLanes);
      if (!kJoined) continue;
      lane += kLanes % row_tiles;
      lane -= lane >= row_tiles ? vi{} + row_tiles : vi{};
    }
    if (tile >= tiles) return;
    vf d[kStride][kTile];
    gather_tiles<kJoined>(line + tile * kStep, lane == 0, lane == row_tiles - 1, d);
    transform_tiles<0>(d, to, tile, end - tile);
  }

  template <int kCount>
  SPARSEPASS_INLINE static void transform_tiles(const vf (&d)[kStride][kTile],
                                                float* const (&to)[kStride * kTile], int64_t tile,
                                                int64_t count) {
    for (int phase = 0; phase < kStride; ++phase) {
      vf v[kTile];
      transform_input(d[phase], v);
      for (int j = 0; j < kTile; ++j) put<kCount>(to[phase * kTile + j] + tile, v[j], count);
    }
  }

  // Cuts kLanes tiles out of a line: element kStride * j + phase of every tile goes to d[phase][j].
  template <bool kJoined>
  SPARSEPASS_INLINE void gather_tiles(const float* line, vi first, vi last,
                                      vf (&d)[kStride][kTile]) const {
    vf v[kStep];  // in the end, element i of every tile
    load_pieces(line, v);
    for (int phase = 0; phase < kStride; ++phase) {
      for (int j = 0; j < kTile; ++j) {
        const int i = kStride * j + phase;
        if (i < kStep) {
          d[phase][j] = kJoined && i < kTails && i < begin_ ? (first ? vf{} : v[i]) : v[i];
        } else {
          vf next = shift_in(v[i - kStep], line[kStep * (kLanes - 1) + i]);
          d[phase][j] = kJoined && i - kStep >= begin_ ? (last ? vf{} : next) : next;
        }
      }
    }
  }

  // B^T (d B), a channel for each phase of the columns.
  void transform_columns(float* out) const {
    const int64_t tiles = job_.tile_rows * job_.row_tiles, row_tiles = job_.row_tiles;
    const int64_t row_stride = kTile * kStride * transformed_stride_;
    const int64_t position_stride = job_.position_stride, end = tiles + job_.room;
    const int64_t whole = smaller(tiles, end - kLanes + 1);
    for (int phase = 0; phase < kStride; ++phase) {
      for (int j = 0; j < kTile; ++j) {
        const float* from[kTile];
        float* to[kTile];
        for (int i = 0; i < kTile; ++i) {
          from[i] = transformed_ + (phase * kTile + j) * transformed_stride_ +
                    i % kOut * row_stride + i / kOut * row_tiles;
          to[i] = out + phase * job_.channel_stride + (i * kTile + j) * position_stride;
        }
        int64_t tile = 0;
        for (; tile < whole; tile += kLanes) transform_column<kLanes>(from, to, tile, kLanes);
        if (tile < tiles) transform_column<0>(from, to, tile, end - tile);
      }
    }
  }

  template <int kCount>
  SPARSEPASS_INLINE static void transform_column(const float* const (&from)[kTile],
                                                 float* const (&to)[kTile], int64_t tile,
                                                 int64_t count) {
    vf d[kTile], v[kTile];
    for (int i = 0; i < kTile; ++i) d[i] = load(from[i] + tile);
    transform_input(d, v);
    for (int i = 0; i < kTile; ++i) put<kCount>(to[i] + tile, v[i], count);
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
