// A convolution as products of the packed weight with blocks of a lowered input.
//
// Deep products are cut: the output holds sums until the last cut, so that the residual must not be
// the output itself.
#ifndef SPARSEPASS_DENSE_LOWERED_H_
#define SPARSEPASS_DENSE_LOWERED_H_

#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "conv/conv.h"
#include "dense/gemm.h"
#include "kernels/table.h"

namespace sparsepass {

// How an algorithm lowers an input: what differs between im2col and MEC.
class Lowering {
 public:
  virtual ~Lowering() = default;
  // Where the weight of one filter holds element `depth` of the product.
  virtual int64_t weight_index(const ConvParams& params, int64_t depth) const = 0;
  // Rows of the panel that one channel takes, and the floats of each for `columns` columns.
  virtual int64_t channel_rows(const ConvParams& params) const = 0;
  virtual int64_t row_floats(const ConvParams& params, int64_t out_w, int64_t columns) const = 0;
  // Blocks of columns begin at multiples of this.
  virtual int64_t column_unit(int64_t out_w) const = 0;
  // The windows of a panel row that are multiplied, each from an offset on.
  virtual std::vector<int64_t> windows(const ConvParams& params, int64_t out_w,
                                       int64_t columns) const = 0;
  virtual LowerKernel* kernel(const KernelTable& kernels) const = 0;
};

// `lowering` lives as long as the library.
std::unique_ptr<Conv> make_lowered(const Lowering& lowering, const ConvParams& params,
                                   const float* weight, const float* bias, const Epilogue& epilogue,
                                   const KernelTable& kernels);

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_LOWERED_H_
