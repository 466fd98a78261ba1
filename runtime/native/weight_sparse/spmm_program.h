// What a weight-sparse convolution holds for one size of the feature map, and the forms it can
// take.
#ifndef SPARSEPASS_WEIGHT_SPARSE_SPMM_PROGRAM_H_
#define SPARSEPASS_WEIGHT_SPARSE_SPMM_PROGRAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/sparse_rows.h"
#include "conv/conv.h"
#include "kernels/table.h"
#include "weight_sparse/packing.h"

namespace sparsepass {

// What all programs of a layer share; outlives them.
struct SpmmLayer {
  ConvParams params;
  Epilogue epilogue;
  const KernelTable& kernels;
  std::vector<float> bias;
  int64_t kept;  // weights that are not zero
};

// What a program is made for.
struct SpmmProblem {
  const SpmmLayer& layer;
  const SparseRows& weight;  // gone when the program is made
  int64_t in_h, in_w;
  bool residual;
  int64_t parts;  // threads that share it

  int64_t positions() const { return layer.params.out_h(in_h) * layer.params.out_w(in_w); }
  PackingRequest packing() const {
    const ConvParams& p = layer.params;
    const int64_t taps = p.channels() * p.kernel_h * p.kernel_w;
    const double reuse = static_cast<double>(layer.kept) / static_cast<double>(taps);
    return {p, in_h, in_w, reuse, parts, layer.kernels.tuning};
  }
};

// The packed weight and how it is walked.  Immutable: run() is called from several threads at once.
class SpmmProgram {
 public:
  virtual ~SpmmProgram() = default;
  // `operands` have the size that the program is made for.
  virtual void run(const Operands& operands, Host& host) const = 0;
  virtual size_t bytes() const = 0;
};

// One form, or null where it does not fit.  Throws std::length_error where the input is too large.
using SpmmForm = std::unique_ptr<SpmmProgram>(const SpmmProblem& problem);

SpmmForm single_position;  // dot products, where the output is one position
SpmmForm generated;        // code, and tiles for the rows that memory leaves no room for as code
SpmmForm listed;           // lists of weights over aligned panels; null where 16 bits do not reach
SpmmForm tiled;            // register tiles driven by data; fits always

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPMM_PROGRAM_H_
