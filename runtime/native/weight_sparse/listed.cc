// Lists of weights that walk aligned panels of the input.
#include <algorithm>
#include <utility>

#include "base/arithmetic.h"
#include "base/machine.h"
#include "conv/workers.h"
#include "weight_sparse/lane_packing.h"
#include "weight_sparse/shared_lists.h"
#include "weight_sparse/spmm_program.h"
#include "weight_sparse/weight_lists.h"

namespace sparsepass {
namespace {

class Listed : public SpmmProgram {
 public:
  Listed(const SpmmSize& size, std::unique_ptr<const LanePacking> packing,
         std::shared_ptr<const WeightLists> lists, bool owns_lists)
      : layer_(size.layer),
        in_size_(layer_.params.channels() * size.in_h * size.in_w),
        y_stride_(size.positions()),
        lanes_(layer_.kernels.gemm_lanes()),
        packing_(std::move(packing)),
        lists_(std::move(lists)),
        owns_lists_(owns_lists) {
    int64_t rows = 0;
    for (const WeightLists::Chunk& chunk : lists_->chunks()) rows = std::max(rows, chunk.rows);
    panel_floats_ = round_up(layer_.params.channels() * packing_->reads().channel_floats, kUnit);
    plane_floats_ = round_up(packing_->plane_floats(), kUnit);
    sum_floats_ = rows * packing_->vectors() * lanes_;
  }

  void run(const Operands& o, Host& host) const override {
    const double work = static_cast<double>(o.batch) * static_cast<double>(y_stride_) *
                        static_cast<double>(layer_.kept);
    const int64_t strips = o.batch * static_cast<int64_t>(packing_->strips().size());
    if (host.threads() == 1 || work < layer_.kernels.tuning.parallel_multiplies) {
      run_strips(o, host, false);
    } else if (strips % host.threads() == 0 || strips > 4 * host.threads() ||
               lists_->chunks().size() == 1) {
      run_strips(o, host, true);
    } else {
      run_chunks(o, host);
    }
  }

  size_t bytes() const override { return owns_lists_ ? lists_->bytes() : 0; }
  size_t map_bytes() const override { return packing_->bytes(); }

 private:
  // One part of a run: chunks [first_chunk, last_chunk) over one strip of one image.
  struct Part {
    const float* x;  // of the image, null: the panel is packed
    LaneOutputs outputs;
    const LaneStrip* strip;
    size_t first_chunk, last_chunk;
    float* panel;
    float* plane;
    float* sums;
  };

  void run_strips(const Operands& o, Host& host, bool parallel) const;
  void run_chunks(const Operands& o, Host& host) const;
  LaneOutputs outputs(const Operands& o, int64_t image) const;
  void compute(const Part& part) const;
  void activate(const Part& part) const;
  void compute_block(const Part& part, const LaneBlock& block, size_t chunk, bool pack) const;

  const SpmmLayer& layer_;
  int64_t in_size_, y_stride_;  // floats of an input image, of an output channel
  int64_t lanes_;
  std::unique_ptr<const LanePacking> packing_;
  std::shared_ptr<const WeightLists> lists_;
  bool owns_lists_;
  int64_t panel_floats_, plane_floats_, sum_floats_;
};

// Every task packs a strip and computes all of its outputs.
void Listed::run_strips(const Operands& o, Host& host, bool parallel) const {
  const int64_t per_image = static_cast<int64_t>(packing_->strips().size());
  const int64_t count = o.batch * per_image;
  const Workers workers(host, parallel ? count : 1, panel_floats_ + plane_floats_ + sum_floats_);
  workers.run(count, [&](int64_t index, float* panel) {
    const int64_t image = index / per_image;
    compute({o.x + image * in_size_, outputs(o, image), &packing_->strips()[index % per_image], 0,
             lists_->chunks().size(), panel, panel + panel_floats_,
             panel + panel_floats_ + plane_floats_});
  });
}

// Tasks share the packed input of a strip, and each computes some of its output channels.
void Listed::run_chunks(const Operands& o, Host& host) const {
  const int64_t channels = layer_.params.channels();
  const int64_t chunks = static_cast<int64_t>(lists_->chunks().size());
  const int64_t packers = std::min<int64_t>(channels, host.threads());
  float* const panel = static_cast<float*>(host.scratch(panel_floats_ * sizeof(float)));
  const Workers workers(host, std::max(packers, chunks), std::max(plane_floats_, sum_floats_));
  for (int64_t image = 0; image < o.batch; ++image) {
    const float* x = o.x + image * in_size_;
    for (const LaneStrip& strip : packing_->strips()) {
      workers.run(packers, [&](int64_t p, float* plane) {
        packing_->pack(x, strip, p * channels / packers, (p + 1) * channels / packers, panel, plane,
                       layer_.kernels);
      });
      workers.run(chunks, [&](int64_t chunk, float* sums) {
        const size_t first = static_cast<size_t>(chunk);
        compute({nullptr, outputs(o, image), &strip, first, first + 1, panel, nullptr, sums});
      });
    }
  }
}

LaneOutputs Listed::outputs(const Operands& o, int64_t image) const {
  const int64_t at = image * layer_.params.filters * y_stride_;
  return {o.residual ? o.residual + at : nullptr, o.y + at, y_stride_};
}

void Listed::compute(const Part& part) const {
  bool pack = part.x != nullptr;
  for (const LaneBlock& block : part.strip->blocks) {
    for (size_t chunk = part.first_chunk; chunk < part.last_chunk; ++chunk) {
      compute_block(part, block, chunk, pack);
      pack = false;
    }
  }
  activate(part);
}

void Listed::activate(const Part& part) const {
  const LaneStrip& strip = *part.strip;
  // Whole rows are one long one.
  const int64_t rows = strip.columns == packing_->out_w() ? 1 : strip.rows;
  const int64_t count = strip.rows * strip.columns / rows;
  const int64_t first = lists_->chunks()[part.first_chunk].first;
  const WeightLists::Chunk& last = lists_->chunks()[part.last_chunk - 1];
  float* y = part.outputs.y + first * y_stride_ + strip.first;
  for (int64_t row = 0; row < rows; ++row, y += packing_->out_w()) {
    layer_.kernels.smooth_activation(
        {layer_.epilogue.smooth, y, last.first + last.rows - first, y_stride_, count});
  }
}

// Channels are packed just before they are read for the first time.
void Listed::compute_block(const Part& part, const LaneBlock& block, size_t chunk,
                           bool pack) const {
  const WeightLists::Chunk& rows = lists_->chunks()[chunk];
  LaneOutputs outputs = part.outputs;
  outputs.y += rows.first * y_stride_;
  if (outputs.residual) outputs.residual += rows.first * y_stride_;
  ListJob job = {};
  job.bias = layer_.bias.data() + rows.first;
  job.sums = part.sums;
  job.epilogue = layer_.epilogue;
  for (size_t s = 0; s < lists_->slices().size(); ++s) {
    const WeightLists::Slice& slice = lists_->slices()[s];
    if (pack) {
      packing_->pack(part.x, *part.strip, slice.first, slice.last, part.panel, part.plane,
                     layer_.kernels);
    }
    lists_->set(chunk, s, &job);
    packing_->set(*part.strip, block, part.panel + slice.first * packing_->reads().channel_floats,
                  outputs, &job);
    layer_.kernels.spmm_lists(job);
  }
  packing_->store(*part.strip, block, part.sums, rows.rows, outputs, layer_.epilogue,
                  layer_.kernels);
}

std::unique_ptr<LanePacking> pack_lanes(const SpmmSize& size, const LaneShapePrice* price) {
  if (std::unique_ptr<LanePacking> flat = flat_lanes(size, price)) return flat;
  std::unique_ptr<LanePacking> tiles = spatial_lanes(size, price), rows = row_lanes(size, price);
  if (!tiles) return rows;
  return rows && rows->cycles() < tiles->cycles() ? std::move(rows) : std::move(tiles);
}

WeightLists::Layout list_layout(const SpmmSize& size, const LanePacking& packing) {
  const KernelTable& kernels = size.layer.kernels;
  const double sums = kernels.tuning.list_sum_share * static_cast<double>(caches().second);
  const int64_t vectors = packing.vectors();
  const int64_t row_bytes = vectors * kernels.gemm_lanes() * static_cast<int64_t>(sizeof(float));
  const int64_t rows = std::max<int64_t>(1, static_cast<int64_t>(sums) / row_bytes);
  const int64_t chunks = round_up(divide_up(size.layer.params.filters, rows), size.parts);
  return {size.layer.params.channels(),
          packing.reads().channel_floats,
          packing.distances(),
          slice_channels(packing.reads(), kernels.tuning),
          chunks,
          kernels.tuning.list_entry_cycles /
              (kernels.tuning.list_weight_cycles +
               kernels.tuning.list_multiply_cycles * static_cast<double>(vectors))};
}

}  // namespace

std::unique_ptr<SpmmProgram> listed(const SpmmProblem& problem) {
  std::unique_ptr<const LanePacking> packing = pack_lanes(problem, nullptr);
  if (!packing) return nullptr;
  const WeightLists::Layout layout = list_layout(problem, *packing);
  if (!WeightLists::fits(layout)) return nullptr;
  auto lists = std::make_shared<WeightLists>(problem.weight.all(), layout);
  return std::make_unique<Listed>(problem, std::move(packing), std::move(lists), true);
}

std::unique_ptr<SpmmProgram> windowed(const SpmmProblem& problem) {
  return listed_in_windows(problem, problem.shared);
}

std::unique_ptr<SpmmProgram> listed_in_windows(const SpmmSize& size, SharedLists& shared) {
  const LaneShapePrice price = [&](const LaneShape& shape) { return shared.price(shape, size); };
  std::unique_ptr<const LanePacking> packing = pack_lanes(size, &price);
  if (!packing) return nullptr;
  const WeightLists::Layout layout = list_layout(size, *packing);
  if (!WeightLists::fits(layout)) return nullptr;
  auto lists = shared.lists(packing->shape(), size.parts, layout);
  return std::make_unique<Listed>(size, std::move(packing), std::move(lists), false);
}

}  // namespace sparsepass
