#include "dense/im2col.h"

#include "conv/payload.h"
#include "dense/lowered.h"

namespace sparsepass {
namespace {

// Row (c, i, j) of the panel: what kernel element (i, j) reads in channel c at every column.
class Im2col : public Lowering {
 public:
  int64_t weight_index(const ConvParams&, int64_t depth) const override { return depth; }
  int64_t channel_rows(const ConvParams& p) const override { return p.kernel_h * p.kernel_w; }
  int64_t row_floats(const ConvParams&, int64_t, int64_t columns) const override { return columns; }
  int64_t column_unit(int64_t) const override { return 1; }
  std::vector<int64_t> windows(const ConvParams&, int64_t, int64_t) const override { return {0}; }
  LowerKernel* kernel(const KernelTable& kernels) const override { return kernels.lower_im2col; }
};

}  // namespace

std::unique_ptr<Conv> make_im2col(const ConvParams& params, const Weight& weight, const float* bias,
                                  const Epilogue& epilogue, const KernelTable& kernels,
                                  std::string* error) {
  static const Im2col lowering;
  *error = check_dense(params, weight);
  if (!error->empty()) return nullptr;
  return make_lowered(lowering, params, weight.values, bias, epilogue, kernels);
}

}  // namespace sparsepass
