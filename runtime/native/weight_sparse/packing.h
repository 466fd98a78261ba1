// Where the input of a convolution lies while sparse kernels walk it.
//
// Every layout turns a kept weight into one flat distance: output position p of a strip reads
// base + p + tap_offset(channel, kernel row, kernel column).
#ifndef SPARSEPASS_WEIGHT_SPARSE_PACKING_H_
#define SPARSEPASS_WEIGHT_SPARSE_PACKING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "conv/conv.h"
#include "kernels/table.h"

namespace sparsepass {

// What a layout is made for.
struct PackingRequest {
  ConvParams params;
  int64_t in_h, in_w;
  double reuse;   // how often an input element is multiplied on average
  int64_t parts;  // a number of strips that shares out well among threads
  const Tuning& tuning;

  int64_t out_h() const { return params.out_h(in_h); }
  int64_t out_w() const { return params.out_w(in_w); }
  // A kernel of one element on the input as it is.
  bool is_pointwise() const { return params.kernel_h == 1 && params.kernel_w == 1 && !is_padded(); }
  bool is_padded() const {
    return params.pad_top || params.pad_left || params.pad_bottom || params.pad_right;
  }
  bool is_strided() const { return params.stride_h != 1 || params.stride_w != 1; }
  // Floats of packed input that a strip may take.
  int64_t strip_budget() const;
  // `strips` or more, so that they share out well among the threads; the map has `units` units.
  int64_t shared_out(int64_t strips, int64_t units) const;
};

// A part of the output of one image whose packed input fits into the second-level cache.
struct Strip {
  int64_t first_unit, units;
  int64_t first_row, rows;  // output rows, where the layout cuts between them
};

class Packing {
 public:
  virtual ~Packing() = default;

  const std::vector<Strip>& strips() const { return strips_; }
  const std::vector<Unit>& units() const { return units_; }
  // True where some unit keeps lanes that are no neighbours.
  bool has_gaps() const { return has_gaps_; }
  // Floats of memory one packed strip takes; 0 where strips are read in place.
  int64_t strip_floats() const { return strip_floats_; }
  virtual size_t bytes() const {
    return strips_.size() * sizeof(Strip) + units_.size() * sizeof(Unit);
  }
  // The distance of every tap, which counts over all input channels.
  std::vector<int64_t> tap_offsets() const;

  // Packs channels [first, last) of a strip of `image` (channels, in_h, in_w) into `packed`.
  virtual void pack(const float* image, const Strip& strip, int64_t first, int64_t last,
                    float* packed, const KernelTable& kernels) const = 0;

 protected:
  explicit Packing(const PackingRequest& request)
      : params_(request.params),
        in_h_(request.in_h),
        in_w_(request.in_w),
        out_h_(request.out_h()),
        out_w_(request.out_w()) {}

  virtual int64_t tap_offset(int64_t channel, int64_t row, int64_t column) const = 0;

  // Adds units over `rows` rows of `pitch` positions whose first `valid` are outputs, written from
  // `y` on.
  void add_units(int64_t rows, int64_t pitch, int64_t valid, int64_t y);
  // Cuts `units` units into strips of about `budget` positions.
  void cut_strips(const PackingRequest& request, int64_t units, int64_t budget);

  ConvParams params_;
  int64_t in_h_, in_w_, out_h_, out_w_;
  std::vector<Strip> strips_;
  std::vector<Unit> units_;
  int64_t strip_floats_ = 0;
  bool has_gaps_ = false;
};

// One layout, or null where it does not fit.
using Layout = std::unique_ptr<Packing>(const PackingRequest& request);

Layout panels;    // 1x1 only: per unit, the 16 positions of all channels next to each other
Layout in_place;  // the tensor itself: stride 1 and no padding
Layout planes;    // padded rows, one plane per channel and phase; fits always

// Floats of a tensor or of its packed form that 32-bit distances in bytes reach.
constexpr int64_t kMostFloats = INT32_MAX / 4;

// The first layout that fits; throws std::length_error where the map is too large for all.
std::unique_ptr<Packing> make_packing(const PackingRequest& request);

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_PACKING_H_
