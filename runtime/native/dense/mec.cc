#include "dense/mec.h"

#include "conv/payload.h"
#include "dense/lowered.h"

namespace sparsepass {
namespace {

// Input rows under `columns` columns that are equal modulo the stride.
int64_t phase_rows(const ConvParams& p, int64_t out_w, int64_t columns) {
  return columns / out_w + (p.kernel_h - 1) * p.dilation_h / p.stride_h;
}

// Row (c, j) of the panel: what kernel column j reads in channel c, in every input row under the
// columns.  Kernel row i reads its window of it; that of the next output row is one map row on.
class Mec : public Lowering {
 public:
  int64_t weight_index(const ConvParams& p, int64_t depth) const override {
    int64_t i = depth % p.kernel_h, j = depth / p.kernel_h % p.kernel_w;
    return (depth / (p.kernel_h * p.kernel_w) * p.kernel_h + i) * p.kernel_w + j;
  }
  int64_t channel_rows(const ConvParams& p) const override { return p.kernel_w; }
  int64_t row_floats(const ConvParams& p, int64_t out_w, int64_t columns) const override {
    return p.stride_h * phase_rows(p, out_w, columns) * out_w;
  }
  int64_t column_unit(int64_t out_w) const override { return out_w; }
  std::vector<int64_t> windows(const ConvParams& p, int64_t out_w, int64_t columns) const override {
    std::vector<int64_t> offsets;
    for (int64_t i = 0; i < p.kernel_h; ++i) {
      int64_t row = i * p.dilation_h;
      int64_t phase = row % p.stride_h;
      offsets.push_back((phase * phase_rows(p, out_w, columns) + row / p.stride_h) * out_w);
    }
    return offsets;
  }
  LowerKernel* kernel(const KernelTable& kernels) const override { return kernels.lower_mec; }
};

}  // namespace

std::unique_ptr<Conv> make_mec(const ConvParams& params, const Weight& weight, const float* bias,
                               const Epilogue& epilogue, const KernelTable& kernels,
                               std::string* error) {
  static const Mec lowering;
  *error = check_dense(params, weight);
  if (!error->empty()) return nullptr;
  if (params.kernel_h <= params.stride_h) {
    *error = "MEC needs a kernel higher than its vertical stride; use im2col";
    return nullptr;
  }
  return make_lowered(lowering, params, weight.values, bias, epilogue, kernels);
}

}  // namespace sparsepass
