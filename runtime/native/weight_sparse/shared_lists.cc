#include "weight_sparse/shared_lists.h"

#include <limits>

namespace sparsepass {

size_t SharedLists::bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return made_bytes();
}

double SharedLists::price(const LaneShape& shape, const SpmmSize& size) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (find(shape, size.parts)) return 0;
  // All shapes take about as much.
  const size_t each = made_.empty() ? 0 : made_.front().lists->bytes();
  const bool fits = size.parts != parts_ || made_bytes() + each <= most_bytes_;
  if (!fits) return std::numeric_limits<double>::infinity();
  // One thread makes them while the others wait.
  return size.layer.kernels.tuning.list_making_cycles *
         static_cast<double>(size.layer.kept * size.parts);
}

std::shared_ptr<const WeightLists> SharedLists::lists(const LaneShape& shape, int64_t parts,
                                                      const WeightLists::Layout& layout) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (const Made* made = find(shape, parts)) return made->lists;
  // What was made for fewer threads is of no use.
  if (parts != parts_) made_.clear();
  parts_ = parts;
  const SparseRows weight = rows_();
  made_.push_back({shape, std::make_shared<WeightLists>(weight.all(), layout)});
  return made_.back().lists;
}

const SharedLists::Made* SharedLists::find(const LaneShape& shape, int64_t parts) const {
  if (parts != parts_) return nullptr;
  for (const Made& made : made_) {
    if (made.shape == shape) return &made;
  }
  return nullptr;
}

size_t SharedLists::made_bytes() const {
  size_t bytes = 0;
  for (const Made& made : made_) bytes += made.lists->bytes();
  return bytes;
}

}  // namespace sparsepass
