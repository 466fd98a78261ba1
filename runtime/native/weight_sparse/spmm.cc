// Weight-sparse convolution: packed input times kept weights (arXiv 1911.09723, arXiv 1608.01409).
//
// What depends on the size of the map (packing, distances, generated code) is a program, made when
// a size is first seen and kept for the next runs.
#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "conv/algorithms.h"
#include "conv/payload.h"
#include "weight_sparse/spmm_program.h"

namespace sparsepass {
namespace {

// In order of preference; the last fits always.
using Forms = std::vector<SpmmForm*>;

// Programs kept per layer: networks see few sizes, and each program holds the packed weight.
constexpr size_t kMostPrograms = 4;

// A program and the runs that it serves.
struct KeptProgram {
  int64_t in_h, in_w;
  bool residual;
  int64_t parts;
  std::shared_ptr<const SpmmProgram> program;
};

// Keeps no copy of the weight: `weight` must outlive it, and programs hold what they need.
class Spmm : public Conv {
 public:
  Spmm(const Weight& weight, SpmmLayer layer, Forms forms)
      : weight_(weight), layer_(std::move(layer)), forms_(std::move(forms)) {}

  void run(const Operands& o, Host& host) const override {
    if (o.batch > 0) program(o, host.threads())->run(o, host);
  }

  size_t packed_bytes() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t bytes = 0;
    for (const KeptProgram& kept : programs_) bytes += kept.program->bytes();
    return bytes;
  }

 private:
  std::shared_ptr<const SpmmProgram> program(const Operands& o, int64_t parts) const;
  std::shared_ptr<const SpmmProgram> make_program(const Operands& o, int64_t parts) const;
  SparseRows rows() const;

  Weight weight_;
  SpmmLayer layer_;
  Forms forms_;
  mutable std::mutex mutex_;
  mutable std::vector<KeptProgram> programs_;  // most recently used last
};

std::shared_ptr<const SpmmProgram> Spmm::program(const Operands& o, int64_t parts) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  // Once more threads are seen, what was made for fewer is of no use.
  programs_.erase(std::remove_if(programs_.begin(), programs_.end(),
                                 [&](const KeptProgram& kept) { return kept.parts != parts; }),
                  programs_.end());
  const bool residual = o.residual != nullptr;
  const auto found = std::find_if(programs_.begin(), programs_.end(), [&](const KeptProgram& kept) {
    return kept.in_h == o.in_h && kept.in_w == o.in_w && kept.residual == residual;
  });
  if (found != programs_.end()) {
    std::rotate(found, found + 1, programs_.end());
  } else {
    if (programs_.size() == kMostPrograms) programs_.erase(programs_.begin());
    programs_.push_back({o.in_h, o.in_w, residual, parts, make_program(o, parts)});
  }
  return programs_.back().program;
}

std::shared_ptr<const SpmmProgram> Spmm::make_program(const Operands& o, int64_t parts) const {
  const SparseRows weight = rows();
  const SpmmProblem problem = {layer_, weight, o.in_h, o.in_w, o.residual != nullptr, parts};
  for (SpmmForm* form : forms_) {
    if (auto program = form(problem)) return program;
  }
  return nullptr;
}

// The non-zero weights by output channel.
SparseRows Spmm::rows() const {
  const ConvParams& p = layer_.params;
  const int64_t taps = p.taps(), kernel = p.kernel_h * p.kernel_w;
  const int64_t group_rows = p.filters / p.groups;
  SparseRows rows;
  rows.rows = p.filters;
  rows.row_start.assign(p.filters + 1, 0);
  rows.tap.reserve(layer_.kept);
  rows.value.reserve(layer_.kept);
  for (int64_t i = 0; i < weight_.count; ++i) {
    if (weight_.values[i] == 0.0f) continue;
    const int64_t flat = weight_.indices ? weight_.indices[i] : i;
    const int64_t row = flat / taps;
    const int64_t first_channel = row / group_rows * p.channels_per_group;
    rows.tap.push_back(static_cast<int32_t>(first_channel * kernel + flat % taps));
    rows.value.push_back(weight_.values[i]);
    ++rows.row_start[row + 1];
  }
  for (int64_t r = 0; r < rows.rows; ++r) rows.row_start[r + 1] += rows.row_start[r];
  return rows;
}

// Generated code where it is the fastest; lists where it is not, or the system allows none.
Forms forms_for(const KernelTable& kernels) {
  if (kernels.tuning.prefers_code) return {single_position, generated, listed, tiled};
  return {single_position, listed, tiled};
}

std::unique_ptr<Conv> make(const ConvParams& params, const Weight& weight, const float* bias,
                           const Epilogue& epilogue, const KernelTable& kernels, Forms forms,
                           std::string* error) {
  *error = check_params(params);
  if (error->empty()) *error = check_weight(params, weight);
  if (!error->empty()) return nullptr;
  const int64_t zeros = std::count(weight.values, weight.values + weight.count, 0.0f);
  SpmmLayer layer = {params, epilogue, kernels, std::vector<float>(bias, bias + params.filters),
                     weight.count - zeros};
  return std::make_unique<Spmm>(weight, std::move(layer), std::move(forms));
}

}  // namespace

std::unique_ptr<Conv> make_spmm(const ConvParams& params, const Weight& weight, const float* bias,
                                const Epilogue& epilogue, const KernelTable& kernels,
                                std::string* error) {
  return make(params, weight, bias, epilogue, kernels, forms_for(kernels), error);
}

std::unique_ptr<Conv> make_spmm_lists(const ConvParams& params, const Weight& weight,
                                      const float* bias, const Epilogue& epilogue,
                                      const KernelTable& kernels, std::string* error) {
  return make(params, weight, bias, epilogue, kernels, {single_position, listed, tiled}, error);
}

std::unique_ptr<Conv> make_spmm_tiles(const ConvParams& params, const Weight& weight,
                                      const float* bias, const Epilogue& epilogue,
                                      const KernelTable& kernels, std::string* error) {
  return make(params, weight, bias, epilogue, kernels, {single_position, tiled}, error);
}

}  // namespace sparsepass
