// Signatures of the micro-kernels of the dense matrix product.
//
// The product is out = weight x panel: filters by depth times depth by columns.  `lanes` stands for
// the floats in a vector of the instruction set (see GemmLanesKernel).
#ifndef SPARSEPASS_KERNELS_GEMM_KERNEL_H_
#define SPARSEPASS_KERNELS_GEMM_KERNEL_H_

#include <cstdint>

#include "base/epilogue.h"

namespace sparsepass {

// Which dimension of the output lies along a vector.  Columns needs no transposition; filters has
// no idle lanes when few columns are left, as on the small maps at the end of a network.
enum class GemmLanes { columns, filters };

// out[f * out_stride + n] = sum over d of weight[d][f] * panel[d][n] for filters f and columns n.
//
// The weight is cut into blocks of `lanes` filters, zero padded, weight_stride floats apart; a
// block holds (depth, lanes).  Depth is a double loop: row o * window + i of the panel begins at
// panel + o * panel_stride + window_offset[i].  A row is readable for kGemmSlack floats past its
// end, but not where there is a strip.
struct GemmJob {
  GemmLanes lanes;
  const float* weight;
  int64_t weight_stride;
  const float* panel;
  int64_t panel_rows, panel_stride;
  const int64_t* window_offset;
  int64_t window;
  // Null, or memory for gemm_strip_floats: where the panel is the input itself, whose rows lie far
  // apart, its columns are copied here a few vectors at a time, by the first filters that read
  // them.  The window is 1.
  float* strip;
  int64_t filters, columns;
  float* out;
  int64_t out_stride;
  bool accumulate;        // add to what `out` holds
  const float* bias;      // null: store plain sums, without an epilogue
  const float* residual;  // null: none; laid out as `out`
  Epilogue epilogue;
};
constexpr int64_t kGemmSlack = 64;
constexpr int64_t gemm_strip_floats(int64_t depth) { return 48 * depth; }
using GemmKernel = void(const GemmJob& job);

// Floats in a vector.
using GemmLanesKernel = int64_t();

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_GEMM_KERNEL_H_
