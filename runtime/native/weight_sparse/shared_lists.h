// Lists of weights that programs of many sizes share: one for each shape of the lanes' tiles.
#ifndef SPARSEPASS_WEIGHT_SPARSE_SHARED_LISTS_H_
#define SPARSEPASS_WEIGHT_SPARSE_SHARED_LISTS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/sparse_rows.h"
#include "weight_sparse/lane_packing.h"
#include "weight_sparse/spmm_program.h"
#include "weight_sparse/weight_lists.h"

namespace sparsepass {

// All functions may be called from several threads at once.
class SharedLists {
 public:
  // Of one shape at least, and of as many as fit into `most_bytes`.  `rows` gives the weight.
  SharedLists(std::function<SparseRows()> rows, size_t most_bytes)
      : rows_(std::move(rows)), most_bytes_(most_bytes) {}

  size_t bytes() const;
  // As LaneShapePrice, for the runs of `size`.
  double price(const LaneShape& shape, const SpmmSize& size) const;
  // Those of a shape for as many threads, made with `layout` where there are none.
  std::shared_ptr<const WeightLists> lists(const LaneShape& shape, int64_t parts,
                                           const WeightLists::Layout& layout);

 private:
  struct Made {
    LaneShape shape;
    std::shared_ptr<const WeightLists> lists;
  };

  const Made* find(const LaneShape& shape, int64_t parts) const;
  size_t made_bytes() const;

  const std::function<SparseRows()> rows_;
  const size_t most_bytes_;
  mutable std::mutex mutex_;
  int64_t parts_ = 0;  // that all of those made are for
  std::vector<Made> made_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SHARED_LISTS_H_
