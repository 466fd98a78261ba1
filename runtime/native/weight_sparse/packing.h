// Where the input of a convolution lies while sparse kernels walk it.
//
// Every layout turns a kept weight into one flat distance: output position p of a strip reads
// base + p + tap_offset(channel, kernel row, kernel column).  Strides become one plane per phase,
// so that neighbouring outputs always read neighbouring inputs; the zero padding at the right of a
// row is shared with the left of the next one (arXiv 1608.01409).
#ifndef SPARSEPASS_WEIGHT_SPARSE_PACKING_H_
#define SPARSEPASS_WEIGHT_SPARSE_PACKING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "conv/conv.h"
#include "kernels/table.h"

namespace sparsepass {

enum class Layout {
  in_place,  // the tensor itself: stride 1 and no padding
  planes,    // padded rows, one plane per channel and phase
  panels,    // 1x1 only: per unit, the 16 positions of all channels next to each other
};

// A part of the output of one image whose packed input fits into the second-level cache.
struct Strip {
  int64_t first_unit, units;
  int64_t first_row, rows;  // output rows; planes only
};

class Packing {
 public:
  // `reuse` is how often an input element is multiplied on average: it decides whether a copy pays.
  // `parts` is a number of strips that shares out well among threads.
  // Returns an empty string, or what is wrong with the shape.
  std::string init(const ConvParams& params, int64_t in_h, int64_t in_w, double reuse,
                   int64_t parts);

  Layout layout() const { return layout_; }
  const std::vector<Strip>& strips() const { return strips_; }
  const Unit* units() const { return units_.data(); }
  // True where some unit keeps lanes that are no neighbours.
  bool has_gaps() const { return has_gaps_; }
  // Floats of memory one packed strip takes; 0 in place.
  int64_t strip_floats() const { return strip_floats_; }
  int64_t tap_offset(int64_t channel, int64_t row, int64_t column) const;
  // Packs channels [first, last) of a strip of `image` (channels, in_h, in_w) into `packed`.
  void pack(const float* image, const Strip& strip, int64_t first, int64_t last, float* packed,
            const KernelTable& kernels) const;

 private:
  struct Phase {
    int64_t row, column;      // of the input, modulo the strides
    int64_t zeros, elements;  // leading zeros of a packed row, then input elements
  };

  void init_planes();
  void add_flat_units(int64_t positions, int64_t x_limit, int64_t budget, int64_t parts);
  void add_units(int64_t rows, int64_t valid, int64_t y);
  ConvParams params_;
  Layout layout_;
  int64_t in_h_, in_w_, out_h_, out_w_;
  int64_t pitch_ = 0;
  int64_t shift_h_ = 0;  // rows a packed plane has beyond its output rows
  int64_t plane_ = 0;    // floats from one plane (or channel, in place) to the next
  int64_t row_phases_ = 1, column_phases_ = 1;
  std::vector<Phase> phases_;        // (row phase, column phase)
  std::vector<int32_t> lanes_;       // panels: input positions of each unit's lanes
  std::vector<uint8_t> neighbours_;  // panels: see PanelCopy
  int64_t unit_stride_ = 0;          // panels: floats from one unit to the next
  std::vector<Strip> strips_;
  std::vector<Unit> units_;
  int64_t strip_floats_ = 0;
  bool has_gaps_ = false;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_PACKING_H_
