// A sparse weight as lists: for some output channels at a time, and for some input channels that
// share the first-level cache, the weights of each row with the distances of what they multiply.
#ifndef SPARSEPASS_WEIGHT_SPARSE_WEIGHT_LISTS_H_
#define SPARSEPASS_WEIGHT_SPARSE_WEIGHT_LISTS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/sparse_rows.h"
#include "kernels/lists_kernel.h"

namespace sparsepass {

class WeightLists {
 public:
  // How the weight is cut, and where its taps lie.
  struct Layout {
    int64_t channels;
    int64_t channel_floats;                // from one channel of the panel to the next
    const std::vector<int64_t>& distance;  // of each kernel element in its channel
    int64_t slice_channels;                // at most, in a slice
    int64_t chunks;                        // of rows
    double entry;                          // weights that take as long as entering a row
  };

  // Input channels [first, last).
  struct Slice {
    int64_t first, last;
  };
  // Output channels [first, first + rows).
  struct Chunk {
    int64_t first, rows;
  };

  // Whether 16 bits hold all distances and lengths.
  static bool fits(const Layout& layout);

  WeightLists(const RowRange& weight, const Layout& layout);

  const std::vector<Slice>& slices() const { return slices_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  // Sets what a job reads of the weight in one chunk and one slice.
  void set(size_t chunk, size_t slice, ListJob* job) const;
  size_t bytes() const;

 private:
  // Where the lists of a chunk and a slice begin.
  struct Start {
    size_t run, row, weight;
  };

  void add_slices(const Layout& layout);
  void add_chunks(const RowRange& weight, const Layout& layout);
  void add_chunk(const RowRange& weight, const Layout& layout, const Chunk& chunk);

  std::vector<Slice> slices_;
  std::vector<Chunk> chunks_;
  std::vector<Start> starts_;  // (chunk, slice), and the end
  std::vector<ListRun> runs_;
  std::vector<uint16_t> rows_, distances_;
  std::vector<float> values_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_WEIGHT_LISTS_H_
