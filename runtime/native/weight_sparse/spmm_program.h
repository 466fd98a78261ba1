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

class SharedLists;

// What all programs of a layer share; outlives them.
struct SpmmLayer {
  ConvParams params;
  Epilogue epilogue;
  const KernelTable& kernels;
  std::vector<float> bias;
  int64_t kept;  // weights that are not zero
};

// The runs that a program serves.
struct SpmmSize {
  const SpmmLayer& layer;
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

// What a program is made for.
struct SpmmProblem : SpmmSize {
  const SparseRows& weight;  // gone when the program is made
  SharedLists& shared;

  SpmmProblem(const SpmmSize& size, const SparseRows& rows, SharedLists& lists)
      : SpmmSize(size), weight(rows), shared(lists) {}
};

// The packed weight and how it is walked.  Immutable: run() is called from several threads at once.
class SpmmProgram {
 public:
  virtual ~SpmmProgram() = default;
  // `operands` have the size that the program is made for.
  virtual void run(const Operands& operands, Host& host) const = 0;
  // Of the packed weight, but what programs of other sizes share.
  virtual size_t bytes() const = 0;
  // Of what is kept of the map.
  virtual size_t map_bytes() const = 0;
};

// One form, or null where it does not fit.  Throws std::length_error where the input is too large.
using SpmmForm = std::unique_ptr<SpmmProgram>(const SpmmProblem& problem);

SpmmForm single_position;  // dot products, where the output is one position
SpmmForm generated;        // code, and tiles for the rows that memory leaves no room for as code
SpmmForm listed;           // lists of weights over aligned panels; null where 16 bits do not reach
SpmmForm windowed;         // lists that all sizes share, over windows; null as above
SpmmForm tiled;            // register tiles driven by data; fits always

bool is_single_position(const SpmmSize& size);

// As `windowed`, which needs the weight only where `lists` lack a shape.
std::unique_ptr<SpmmProgram> listed_in_windows(const SpmmSize& size, SharedLists& lists);

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPMM_PROGRAM_H_
