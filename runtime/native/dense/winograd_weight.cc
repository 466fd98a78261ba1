#include "dense/winograd_weight.h"

#include <algorithm>

#include "base/arithmetic.h"
#include "dense/gemm.h"

namespace sparsepass {
namespace {

std::vector<WinogradDepth> depths_of(const WinogradLayer& layer) {
  const WinogradVariant& v = layer.variant;
  const ConvParams& p = layer.params;
  const int64_t tile = v.tile(), last_tap = (v.taps - 1) * layer.stride;
  std::vector<WinogradDepth> all;
  int64_t before = 0;
  for (int64_t position = 0; position < v.positions(); ++position) {
    bool last_row = position / tile == tile - 1, last_column = position % tile == tile - 1;
    WinogradDepth depth;
    depth.rows = p.channels_per_group * (last_row ? p.kernel_h - last_tap : layer.stride);
    depth.columns = last_column ? p.kernel_w - last_tap : layer.stride;
    depth.before = before;
    before += depth.size();
    all.push_back(depth);
  }
  return all;
}

// The taps of the kernel that meet one phase; `index` counts (filter, row phase, channel, column
// phase).
void take_phase(const WinogradLayer& layer, const float* weight, int64_t index, double* g) {
  const ConvParams& p = layer.params;
  const int64_t taps = layer.variant.taps, stride = layer.stride, channels = p.channels_per_group;
  const int64_t filter = index / layer.channels, channel = index / stride % channels;
  const int64_t row_phase = index % layer.channels / stride / channels;
  const float* kernel = weight + (filter * channels + channel) * p.kernel_h * p.kernel_w;
  for (int64_t k = 0; k < taps * taps; ++k) {
    int64_t y = k / taps * stride + row_phase, x = k % taps * stride + index % stride;
    g[k] = y < p.kernel_h && x < p.kernel_w ? kernel[y * p.kernel_w + x] : 0;
  }
}

}  // namespace

WinogradWeight::WinogradWeight(const WinogradLayer& layer, const float* weight)
    : layer_(layer),
      depths_(depths_of(layer)),
      total_depth_(depths_.back().before + depths_.back().size()),
      padded_filters_(round_up(layer.filters, layer.lanes)),
      packed_floats_(product({layer.params.groups, padded_filters_, total_depth_})),
      packed_(allocate_floats(packed_floats_)) {
  pack(weight);
}

WinogradPass WinogradWeight::pass(int64_t group, int64_t filter) const {
  const int64_t first = filter / layer_.pass_filters * layer_.pass_filters;
  return {packed_.get() + (group * padded_filters_ + first) * total_depth_,
          std::min(layer_.pass_filters, padded_filters_ - first), filter - first};
}

void WinogradWeight::pack(const float* weight) {
  const WinogradVariant& v = layer_.variant;
  const int64_t tile = v.tile(), positions = v.positions(), taps = v.taps;
  const int64_t channels = layer_.channels, stride = layer_.stride, lanes = layer_.lanes;
  std::vector<double> transform(tile * taps);
  for (int64_t i = 0; i < tile * taps; ++i) transform[i] = v.transform(i / taps, i % taps);
  std::vector<float> transformed(lanes * channels * positions);
  std::vector<double> g(taps * taps);
  const int64_t blocks = padded_filters_ / lanes;
  for (int64_t task = 0; task < layer_.params.groups * blocks; ++task) {
    const int64_t group = task / blocks, skipped = task % blocks * lanes;
    const int64_t first = group * layer_.filters + skipped;
    const int64_t filters = std::min(lanes, layer_.filters - skipped);
    for (int64_t i = 0; i < filters * channels; ++i) {
      take_phase(layer_, weight, first * channels + i, g.data());
      for (int64_t position = 0; position < positions; ++position) {
        const double* row = &transform[position / tile * taps];
        const double* column = &transform[position % tile * taps];
        double sum = 0;
        for (int64_t k = 0; k < taps * taps; ++k) sum += row[k / taps] * g[k] * column[k % taps];
        transformed[position * filters * channels + i] = static_cast<float>(sum);
      }
    }
    const WinogradPass pass = this->pass(group, skipped);
    for (int64_t position = 0; position < positions; ++position) {
      const WinogradDepth& depth = depths_[position];
      const auto channel = [&](int64_t d) {
        return d / depth.columns * stride + d % depth.columns;
      };
      pack_gemm_weight(&transformed[position * filters * channels], filters, channels, depth.size(),
                       channel, lanes, const_cast<float*>(pass.at(depth)));
    }
  }
}

}  // namespace sparsepass
