#include "dense/lowered.h"

#include <algorithm>
#include <new>

#include "base/aligned.h"
#include "base/arithmetic.h"
#include "conv/workers.h"
#include "dense/gemm.h"

namespace sparsepass {
namespace {

// How a run divides the output: a task is a block of columns by a part of the filters.
struct Grid {
  int64_t out_w, columns;  // of one image
  int64_t block_columns, blocks;
  int64_t part_filters, parts;
  int64_t chunk_channels;  // channels lowered at a time
};

class Lowered : public Conv {
 public:
  Lowered(const Lowering& lowering, const ConvParams& params, const float* weight,
          const float* bias, const Epilogue& epilogue, const KernelTable& kernels);
  void run(const Operands& operands, Host& host) const override;
  size_t packed_bytes() const override { return packed_floats_ * sizeof(float); }

 private:
  Grid divide(const Operands& operands, int threads) const;
  // Whether the lowered input is the input.
  bool is_plain() const;
  // Of one product, at most.
  int64_t depth() const {
    return is_plain() ? kernels_.tuning.strip_depth : kernels_.tuning.lowered_depth;
  }
  int64_t panel_floats(const Grid& grid) const;
  void run_task(const Operands& operands, const Grid& grid, int64_t index, float* panel) const;

  const Lowering& lowering_;
  const ConvParams params_;
  const Epilogue epilogue_;
  const KernelTable& kernels_;
  const int64_t lanes_, channels_, filters_;  // channels and filters of one group
  const int64_t taps_;
  const int64_t packed_floats_;
  const AlignedFloats packed_;  // (group, block of lanes, depth, lane)
  const std::vector<float> bias_;
};

Lowered::Lowered(const Lowering& lowering, const ConvParams& params, const float* weight,
                 const float* bias, const Epilogue& epilogue, const KernelTable& kernels)
    : lowering_(lowering),
      params_(params),
      epilogue_(epilogue),
      kernels_(kernels),
      lanes_(kernels.gemm_lanes()),
      channels_(params.channels_per_group),
      filters_(params.filters / params.groups),
      taps_(params.taps()),
      packed_floats_(product({params.groups, round_up(filters_, lanes_), taps_})),
      packed_(allocate_floats(packed_floats_)),
      bias_(bias, bias + params.filters) {
  for (int64_t group = 0; group < params.groups; ++group) {
    pack_gemm_weight(
        weight + group * filters_ * taps_, filters_, taps_, taps_,
        [&](int64_t depth) { return lowering.weight_index(params, depth); }, lanes_,
        packed_.get() + group * round_up(filters_, lanes_) * taps_);
  }
}

Grid Lowered::divide(const Operands& operands, int threads) const {
  Grid g;
  g.out_w = params_.out_w(operands.in_w);
  g.columns = params_.out_h(operands.in_h) * g.out_w;
  const int64_t kernel = params_.kernel_h * params_.kernel_w;
  const int64_t chunks = divide_up(channels_, std::max<int64_t>(1, depth() / kernel));
  g.chunk_channels = divide_up(channels_, chunks);
  // The panel takes its share of the cache, if that is at least a few register tiles.
  const int64_t unit = lowering_.column_unit(g.out_w);
  const int64_t rows = g.chunk_channels * lowering_.channel_rows(params_);
  const int64_t room = floats_in(kernels_.tuning.lowered_second_level, caches().second) / rows;
  const int64_t first = lowering_.row_floats(params_, g.out_w, unit);
  const int64_t step = lowering_.row_floats(params_, g.out_w, 2 * unit) - first;
  const int64_t units = room > first ? 1 + (room - first) / step : 1;
  const int64_t columns = unit * std::max(units, divide_up(6 * lanes_, unit));
  g.blocks = divide_up(g.columns, columns);
  if (threads > 1) {
    g.blocks = std::min(divide_up(g.columns, 6 * lanes_), round_up(g.blocks, threads));
  }
  g.block_columns = round_up(divide_up(g.columns, g.blocks), unit);
  if (unit == 1) g.block_columns = round_up(g.block_columns, 3 * lanes_);
  g.block_columns = std::min(g.block_columns, g.columns);
  g.blocks = divide_up(g.columns, g.block_columns);
  // Threads that find too few blocks share the filters of each.
  const int64_t tasks = g.blocks * params_.groups * operands.batch;
  g.parts = threads == 1 ? 1 : std::min(divide_up(4 * threads, tasks), divide_up(filters_, 64));
  g.part_filters = round_up(divide_up(filters_, g.parts), 2 * lanes_);
  g.parts = divide_up(filters_, g.part_filters);
  return g;
}

bool Lowered::is_plain() const {
  const ConvParams& p = params_;
  return p.kernel_h * p.kernel_w == 1 && p.stride_h * p.stride_w == 1 &&
         p.pad_top + p.pad_left + p.pad_bottom + p.pad_right == 0;
}

int64_t Lowered::panel_floats(const Grid& g) const {
  if (is_plain()) return gemm_strip_floats(g.chunk_channels);
  const int64_t floats = product({g.chunk_channels, lowering_.channel_rows(params_),
                                  lowering_.row_floats(params_, g.out_w, g.block_columns)});
  if (floats < 0) throw std::bad_alloc();
  return floats + kGemmSlack;
}

void Lowered::run(const Operands& operands, Host& host) const {
  if (operands.batch == 0) return;
  const Grid g = divide(operands, host.threads());
  const int64_t tasks = operands.batch * params_.groups * g.blocks * g.parts;
  Workers(host, tasks, panel_floats(g)).run(tasks, [&](int64_t index, float* panel) {
    run_task(operands, g, index, panel);
  });
}

void Lowered::run_task(const Operands& operands, const Grid& g, int64_t index, float* panel) const {
  const int64_t part = index % g.parts, block = index / g.parts % g.blocks;
  const int64_t group = index / (g.parts * g.blocks) % params_.groups;
  const int64_t image = index / (g.parts * g.blocks * params_.groups);
  const int64_t first_column = block * g.block_columns;
  const int64_t columns = std::min(g.block_columns, g.columns - first_column);
  const int64_t first_filter = part * g.part_filters;
  const int64_t filters = std::min(g.part_filters, filters_ - first_filter);
  const std::vector<int64_t> windows = lowering_.windows(params_, g.out_w, columns);
  const int64_t plane = operands.in_h * operands.in_w;

  LowerJob lower = {};
  lower.params = &params_;
  lower.in_h = operands.in_h;
  lower.in_w = operands.in_w;
  lower.out_w = g.out_w;
  lower.first_column = first_column;
  lower.columns = columns;
  lower.panel = panel;
  lower.panel_stride = lowering_.row_floats(params_, g.out_w, columns);
  lower.phase_rows = lower.panel_stride / (params_.stride_h * g.out_w);

  const int64_t out = (image * params_.filters + group * filters_ + first_filter) * g.columns;
  const GemmParts parts =
      best_gemm_parts(filters, columns, std::min(taps_, depth()), false, kernels_);
  GemmJob job = {};
  job.lanes = parts.lanes;
  job.weight_stride = taps_ * lanes_;
  job.panel = panel;
  job.panel_stride = lower.panel_stride;
  job.window_offset = windows.data();
  job.window = windows.size();
  job.filters = filters;
  job.columns = parts.columns;
  job.out = operands.y + out + first_column;
  job.out_stride = g.columns;
  job.epilogue = epilogue_;

  const float* weight = packed_.get() + (group * round_up(filters_, lanes_) + first_filter) * taps_;
  const float* x = operands.x + (image * params_.channels() + group * channels_) * plane;
  for (int64_t c = 0; c < channels_; c += g.chunk_channels) {
    lower.x = x + c * plane;
    lower.channels = std::min(g.chunk_channels, channels_ - c);
    if (is_plain()) {
      job.panel = lower.x + first_column;
      job.panel_stride = plane;
      job.strip = panel;
    } else {
      lowering_.kernel(kernels_)(lower);
    }
    job.weight = weight + c * params_.kernel_h * params_.kernel_w * lanes_;
    job.panel_rows = lower.channels * lowering_.channel_rows(params_);
    job.accumulate = c > 0;
    if (c + g.chunk_channels >= channels_) {
      job.bias = &bias_[group * filters_ + first_filter];
      if (operands.residual != nullptr) job.residual = operands.residual + out + first_column;
    }
    multiply(job, parts.rest, kernels_);
  }
}

}  // namespace

std::unique_ptr<Conv> make_lowered(const Lowering& lowering, const ConvParams& params,
                                   const float* weight, const float* bias, const Epilogue& epilogue,
                                   const KernelTable& kernels) {
  return std::make_unique<Lowered>(lowering, params, weight, bias, epilogue, kernels);
}

}  // namespace sparsepass
