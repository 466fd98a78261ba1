// The weight of a Winograd convolution, transformed and packed.
#ifndef SPARSEPASS_DENSE_WINOGRAD_WEIGHT_H_
#define SPARSEPASS_DENSE_WINOGRAD_WEIGHT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "dense/winograd_variant.h"

namespace sparsepass {

// The channels that one position multiplies: `columns` column phases of each of `rows` pairs of row
// phase and channel.  `before` counts those of the positions before it.
struct WinogradDepth {
  int64_t rows, columns, before;

  int64_t size() const { return rows * columns; }
};

// The weight of the filters of a pass from one on.
struct WinogradPass {
  const float* all;  // of the pass: (position, block of lanes, channel, lane), as it is read
  int64_t filters;   // of the pass, padded
  int64_t first;

  const float* at(const WinogradDepth& depth) const {
    return all + depth.before * filters + first * depth.size();
  }
};

class WinogradWeight {
 public:
  WinogradWeight(const WinogradLayer& layer, const float* weight);

  // Of every position.
  const std::vector<WinogradDepth>& depths() const { return depths_; }
  // Of a group from a filter on, a multiple of the lanes, to the end of its pass.
  WinogradPass pass(int64_t group, int64_t filter) const;
  size_t bytes() const { return packed_floats_ * sizeof(float); }

 private:
  void pack(const float* weight);

  const WinogradLayer& layer_;
  const std::vector<WinogradDepth> depths_;
  const int64_t total_depth_, padded_filters_;
  const int64_t packed_floats_;
  const AlignedFloats packed_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_WINOGRAD_WEIGHT_H_
