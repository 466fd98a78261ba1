// The input of a convolution in vectors whose lanes are parts of the map, for lists of weights.
#ifndef SPARSEPASS_WEIGHT_SPARSE_LANE_PACKING_H_
#define SPARSEPASS_WEIGHT_SPARSE_LANE_PACKING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/table.h"
#include "weight_sparse/packing.h"
#include "weight_sparse/spmm_program.h"

namespace sparsepass {

// Vectors of outputs that are summed at the same time, as places in the tile of a lane.
struct LaneBlock {
  int64_t row, column, height, width;
  int64_t vectors() const { return height * width; }
};

// The outputs of an image that share a panel of packed input: rows x columns of them, from the
// first one on.
struct LaneStrip {
  int64_t first, rows, columns;
  std::vector<LaneBlock> blocks;
};

// Where the outputs of an image go.
struct LaneOutputs {
  const float* residual;  // null: none; laid out as y
  float* y;
  int64_t y_stride;  // floats from one filter to the next
};

// What the distances of a layout depend on, besides the convolution.
struct LaneShape {
  int64_t tile_h, tile_w;  // outputs of a lane, or the vectors of a strip in one row
  bool columns_first;      // the vectors of a column follow each other

  bool operator==(const LaneShape& other) const {
    return tile_h == other.tile_h && tile_w == other.tile_w && columns_first == other.columns_first;
  }
};

// The cycles that it takes to have the lists of a shape, infinite where there shall be none.
using LaneShapePrice = std::function<double(const LaneShape&)>;

// How a layout uses the caches.
struct LaneReads {
  int64_t channel_floats;  // of the panel
  int64_t block_floats;    // of a channel, that one block reads
};

class LanePacking {
 public:
  virtual ~LanePacking() = default;

  const std::vector<LaneStrip>& strips() const { return strips_; }
  // Where a channel of the panel has what output (0, 0) reads for each kernel element, in floats.
  const std::vector<int64_t>& distances() const { return distances_; }
  const LaneReads& reads() const { return reads_; }
  const LaneShape& shape() const { return shape_; }
  // At most, of a block.
  int64_t vectors() const { return vectors_; }
  // Outputs of a row of the map.
  int64_t out_w() const { return out_w_; }
  size_t bytes() const;
  // Floats of memory that packing needs besides the panel.
  int64_t plane_floats() const { return plane_floats_; }
  // What the layout was chosen for.
  double cycles() const { return cycles_; }

  // Packs channels [first, last) of `image` (channels, in_h, in_w); `panel` begins with channel 0.
  virtual void pack(const float* image, const LaneStrip& strip, int64_t first, int64_t last,
                    float* panel, float* plane, const KernelTable& kernels) const = 0;
  // Sets what a job reads and writes in a block, but for the sums; `panel` begins with the channel
  // that distances count from.
  virtual void set(const LaneStrip& strip, const LaneBlock& block, const float* panel,
                   const LaneOutputs& outputs, ListJob* job) const = 0;
  // Writes the sums of `filters` output channels, but where the job did.
  virtual void store(const LaneStrip& strip, const LaneBlock& block, const float* sums,
                     int64_t filters, const LaneOutputs& outputs, const Epilogue& epilogue,
                     const KernelTable& kernels) const = 0;

 protected:
  explicit LanePacking(int64_t out_w) : out_w_(out_w) {}

  const int64_t out_w_;
  std::vector<LaneStrip> strips_;
  std::vector<int64_t> distances_;
  LaneReads reads_ = {};
  LaneShape shape_ = {};
  int64_t vectors_ = 0;
  int64_t plane_floats_ = 0;
  double cycles_ = 0;
};

// Channels that a block sums at a time: their part of the block shares the first-level cache, and
// 16-bit distances reach them.
int64_t slice_channels(const LaneReads& reads, const Tuning& tuning);

// What a choice of blocks costs, in cycles of one thread.
class LaneCost {
 public:
  explicit LaneCost(const SpmmSize& size);
  // A factor that makes a layout the last resort where distances do not reach a channel, or the
  // panel leaves no room in the last-level cache; else 1.
  double last_resort(const LaneReads& reads) const;
  // Of summing a block of `vectors` vectors in `height` rows.
  double block(double vectors, int64_t height, const LaneReads& reads) const;
  // Of packing `vectors` vectors of every channel lane by lane.
  double pack(int64_t vectors) const;
  // Of moving sums to the map lane by lane, a share of them float by float.
  double store(double vectors, double singly) const;
  // The same where vectors lie in the map as they do in the panel.
  double copy_in(int64_t vectors) const;
  double copy_out(int64_t vectors) const;

 private:
  const Tuning& tuning_;
  int64_t lanes_;
  double channels_, group_channels_, filters_, weights_;
};

// The fastest cut of a map.  With a price, shapes are those that many sizes can share, and what the
// lists of one take counts as well.  Null where a layout does not fit.
using LaneLayout = std::unique_ptr<LanePacking>(const SpmmSize& size, const LaneShapePrice* price);

LaneLayout flat_lanes;     // 1x1 only: lanes are neighbouring outputs
LaneLayout spatial_lanes;  // lanes are tiles of the map
LaneLayout row_lanes;      // lanes are neighbouring outputs of a row; not with a price

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_LANE_PACKING_H_
