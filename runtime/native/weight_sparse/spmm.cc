// Weight-sparse convolution: packed input times kept weights (arXiv 1911.09723, arXiv 1608.01409).
//
// What depends on the size of the map (packing, distances, generated code) is a program, kept for
// the next runs.
#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "conv/algorithms.h"
#include "conv/payload.h"
#include "weight_sparse/shared_lists.h"
#include "weight_sparse/size_programs.h"
#include "weight_sparse/spmm_program.h"

namespace sparsepass {
namespace {

// What serves one size, in order of preference; the last fits always.
using Forms = std::vector<SpmmForm*>;

// What sizes that the model does not declare run by until they repeat.
using SharedForm = std::unique_ptr<SpmmProgram>(const SpmmSize& size, SharedLists& lists);

// Bytes that the programs of a layer take at most, and the lists that they share as well.
size_t most_bytes(const ConvParams& params, const Tuning& tuning) {
  const int64_t weight = params.filters * params.taps() * static_cast<int64_t>(sizeof(float));
  return static_cast<size_t>(tuning.programs_dense_share *
                             static_cast<double>(std::max(weight, tuning.unbounded_bytes)));
}

// Keeps no copy of the weight: `weight` must outlive it, and programs hold what they need.
class Spmm : public Conv {
 public:
  Spmm(const Weight& weight, SpmmLayer layer, Forms forms, SharedForm* shared)
      : weight_(weight),
        layer_(std::move(layer)),
        forms_(std::move(forms)),
        lists_([this] { return rows(); }, most_bytes(layer_.params, layer_.kernels.tuning)),
        programs_([this](const SpmmSize& size) { return own_program(size); },
                  [this, shared](const SpmmSize& size) { return shared(size, lists_); },
                  most_bytes(layer_.params, layer_.kernels.tuning)) {}

  void run(const Operands& o, Host& host) const override {
    if (o.batch == 0) return;
    const SpmmSize size = {layer_, o.in_h, o.in_w, o.residual != nullptr, host.threads()};
    programs_.program(size, o.batch, o.is_declared)->run(o, host);
  }

  size_t packed_bytes() const override { return programs_.bytes() + lists_.bytes(); }

 private:
  std::unique_ptr<SpmmProgram> own_program(const SpmmSize& size) const;
  SparseRows rows() const;

  Weight weight_;
  SpmmLayer layer_;
  Forms forms_;
  mutable SharedLists lists_;
  mutable SizePrograms programs_;
};

std::unique_ptr<SpmmProgram> Spmm::own_program(const SpmmSize& size) const {
  const SparseRows weight = rows();
  const SpmmProblem problem(size, weight, lists_);
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
  int64_t before = -1;
  for (int64_t i = 0; i < weight_.count; ++i) {
    if (weight_.values[i] == 0.0f) continue;
    const int64_t flat = weight_.indices ? weight_.indices[i] : i;
    // They were checked, but may lie in a file that somebody writes to.
    if (flat <= before || flat >= p.filters * taps) {
      throw std::runtime_error("the indices of the weight changed since the session was made");
    }
    before = flat;
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

// Few sizes have one position only.
std::unique_ptr<SpmmProgram> windows(const SpmmSize& size, SharedLists& lists) {
  return is_single_position(size) ? nullptr : listed_in_windows(size, lists);
}

std::unique_ptr<SpmmProgram> nothing(const SpmmSize&, SharedLists&) { return nullptr; }

std::unique_ptr<Conv> make(const ConvParams& params, const Weight& weight, const float* bias,
                           const Epilogue& epilogue, const KernelTable& kernels, Forms forms,
                           SharedForm* shared, std::string* error) {
  *error = check_params(params);
  if (error->empty()) *error = check_weight(params, weight);
  if (!error->empty()) return nullptr;
  const int64_t zeros = std::count(weight.values, weight.values + weight.count, 0.0f);
  SpmmLayer layer = {params, epilogue, kernels, std::vector<float>(bias, bias + params.filters),
                     weight.count - zeros};
  return std::make_unique<Spmm>(weight, std::move(layer), std::move(forms), shared);
}

}  // namespace

std::unique_ptr<Conv> make_spmm(const ConvParams& params, const Weight& weight, const float* bias,
                                const Epilogue& epilogue, const KernelTable& kernels,
                                std::string* error) {
  return make(params, weight, bias, epilogue, kernels, forms_for(kernels), windows, error);
}

std::unique_ptr<Conv> make_spmm_lists(const ConvParams& params, const Weight& weight,
                                      const float* bias, const Epilogue& epilogue,
                                      const KernelTable& kernels, std::string* error) {
  return make(params, weight, bias, epilogue, kernels, {single_position, listed, tiled}, nothing,
              error);
}

std::unique_ptr<Conv> make_spmm_windows(const ConvParams& params, const Weight& weight,
                                        const float* bias, const Epilogue& epilogue,
                                        const KernelTable& kernels, std::string* error) {
  return make(params, weight, bias, epilogue, kernels, {single_position, windowed, tiled}, windows,
              error);
}

std::unique_ptr<Conv> make_spmm_tiles(const ConvParams& params, const Weight& weight,
                                      const float* bias, const Epilogue& epilogue,
                                      const KernelTable& kernels, std::string* error) {
  return make(params, weight, bias, epilogue, kernels, {single_position, tiled}, nothing, error);
}

}  // namespace sparsepass
