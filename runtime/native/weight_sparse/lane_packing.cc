#include "weight_sparse/lane_packing.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "base/machine.h"

namespace sparsepass {

int64_t slice_channels(const LaneReads& reads, const Tuning& tuning) {
  const double bytes = tuning.list_panel_share * static_cast<double>(caches().data);
  const int64_t near =
      static_cast<int64_t>(bytes) / static_cast<int64_t>(reads.block_floats * sizeof(float));
  return std::max<int64_t>(1, std::min(near, kMostListDistance / reads.channel_floats));
}

size_t LanePacking::bytes() const {
  size_t bytes = distances_.size() * sizeof(int64_t);
  for (const LaneStrip& strip : strips_) {
    bytes += sizeof(strip) + strip.blocks.size() * sizeof(LaneBlock);
  }
  return bytes;
}

LaneCost::LaneCost(const SpmmSize& size)
    : tuning_(size.layer.kernels.tuning),
      lanes_(size.layer.kernels.gemm_lanes()),
      channels_(static_cast<double>(size.layer.params.channels())),
      group_channels_(static_cast<double>(size.layer.params.channels_per_group)),
      filters_(static_cast<double>(size.layer.params.filters)),
      weights_(static_cast<double>(size.layer.kept) / filters_) {}

double LaneCost::last_resort(const LaneReads& reads) const {
  const double panel = channels_ * static_cast<double>(reads.channel_floats);
  const int64_t most = floats_in(tuning_.list_last_level_share, caches().last);
  const bool fits = reads.channel_floats <= kMostListDistance && panel <= static_cast<double>(most);
  return fits ? 1 : 1e6;
}

double LaneCost::block(double vectors, int64_t height, const LaneReads& reads) const {
  const double slices =
      std::max(1.0, group_channels_ / static_cast<double>(slice_channels(reads, tuning_)));
  const double visits = std::min(weights_, slices);
  const double entry = tuning_.list_entry_cycles + tuning_.list_entry_vector_cycles * vectors;
  const double weight = tuning_.list_weight_cycles +
                        tuning_.list_row_cycles * static_cast<double>(height - 1) +
                        std::max(static_cast<double>(tuning_.list_chain_cycles),
                                 tuning_.list_multiply_cycles * vectors);
  const double panel = channels_ * static_cast<double>(reads.channel_floats) * sizeof(float);
  const double far = panel > static_cast<double>(caches().second) ? tuning_.list_far_cycles : 0.0;
  return filters_ * (visits * entry + weights_ * weight) +
         far * channels_ * static_cast<double>(reads.block_floats / lanes_);
}

double LaneCost::pack(int64_t vectors) const {
  return tuning_.list_pack_cycles * static_cast<double>(vectors) * channels_;
}

double LaneCost::store(double vectors, double singly) const {
  return (tuning_.list_store_cycles + tuning_.list_single_cycles * singly) * vectors * filters_;
}

double LaneCost::copy_in(int64_t vectors) const {
  return tuning_.list_copy_cycles * static_cast<double>(vectors) * channels_;
}

double LaneCost::copy_out(int64_t vectors) const {
  return tuning_.list_copy_cycles * static_cast<double>(vectors) * filters_;
}

}  // namespace sparsepass
