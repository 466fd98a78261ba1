#include "weight_sparse/lane_packing.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "base/machine.h"

namespace sparsepass {
namespace {

// Bytes of a panel that the first-level cache keeps beside weights and sums.
constexpr int64_t kPanelBytes = 28 * 1024;

// Cycles of a multiply-add with an operand in memory, of taking the next weight, of a further row
// of vectors that it multiplies, of entering and leaving a row, besides its vectors, of packing a
// vector, of reading one of a panel that is larger than the second-level cache, of moving one to
// the map, and what it takes longer float by float.
constexpr double kMultiply = 0.6, kWeight = 0.7, kRow = 1.0, kEntry = 8, kEntryVector = 1.5,
                 kPack = 5, kFar = 1, kStore = 8, kSingly = 24;

}  // namespace

int64_t slice_channels(const LaneReads& reads) {
  const int64_t near = kPanelBytes / static_cast<int64_t>(reads.block_floats * sizeof(float));
  return std::max<int64_t>(1, std::min(near, kMostListDistance / reads.channel_floats));
}

LaneCost::LaneCost(const SpmmProblem& problem)
    : channels_(static_cast<double>(problem.layer.params.channels())),
      group_channels_(static_cast<double>(problem.layer.params.channels_per_group)),
      filters_(static_cast<double>(problem.layer.params.filters)),
      weights_(static_cast<double>(problem.layer.kept) / filters_) {}

double LaneCost::block(double vectors, int64_t height, const LaneReads& reads) const {
  const double slices = std::max(1.0, group_channels_ / static_cast<double>(slice_channels(reads)));
  const double visits = std::min(weights_, slices);
  const double panel = channels_ * static_cast<double>(reads.channel_floats) * sizeof(float);
  const double far = panel > static_cast<double>(second_level_cache()) ? kFar : 0;
  return filters_ *
             (visits * (kEntry + kEntryVector * vectors) +
              weights_ * (kWeight + kRow * static_cast<double>(height - 1) + kMultiply * vectors)) +
         far * channels_ * static_cast<double>(reads.block_floats) / 8;
}

double LaneCost::pack(int64_t vectors) const {
  return kPack * static_cast<double>(vectors) * channels_;
}

double LaneCost::store(double vectors, double singly) const {
  return (kStore + kSingly * singly) * vectors * filters_;
}

}  // namespace sparsepass
