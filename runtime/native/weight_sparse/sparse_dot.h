// Weight-sparse product with a single vector: layers whose output is one position, fully connected
// ones above all.
//
// Every kept weight is used once, so nothing is gained by generated code, which takes twice the
// memory.
#ifndef SPARSEPASS_WEIGHT_SPARSE_SPARSE_DOT_H_
#define SPARSEPASS_WEIGHT_SPARSE_SPARSE_DOT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/sparse_rows.h"
#include "kernels/table.h"

namespace sparsepass {

class SparseDot {
 public:
  // `offset[tap]` is the distance in floats from the first input, growing with the tap.
  void init(const RowRange& weight, const std::vector<int64_t>& offset, const Tuning& tuning);

  // Adds the products of rows [first, last) with `x` to y[first] .. y[last - 1].
  void add_products(const float* x, int64_t first, int64_t last, float* y,
                    const KernelTable& kernels) const;

  size_t bytes() const {
    return values_.size() * (sizeof(float) + sizeof(uint16_t)) + start_.size() * sizeof(int64_t);
  }

 private:
  // Slice by slice of the input, whose floats stay in cache while all rows read them: row r of
  // slice s owns weights [start[s * rows + r], ...).
  int64_t rows_ = 0, slice_ = 0, slices_ = 0;
  std::vector<int64_t> start_;
  std::vector<float> values_;
  std::vector<uint16_t> index_;  // within the slice
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SPARSE_DOT_H_
