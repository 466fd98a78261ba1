// The programs of a layer by the size of the map that they serve.
//
// A size that the model declares gets a program of its own in its first run.  Any other one first
// runs by what all sizes share: it may never come again, and making a program takes as long as many
// runs.  One that has repeated until its own program pays for itself gets one.
#ifndef SPARSEPASS_WEIGHT_SPARSE_SIZE_PROGRAMS_H_
#define SPARSEPASS_WEIGHT_SPARSE_SIZE_PROGRAMS_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "weight_sparse/spmm_program.h"

namespace sparsepass {

using SpmmMaker = std::function<std::unique_ptr<SpmmProgram>(const SpmmSize& size)>;

class SizePrograms {
 public:
  // `own` makes the program of one size, `shared` one that leans on what sizes share, or null.
  // Those used least recently go where all take more than `most_bytes`.
  SizePrograms(SpmmMaker own, SpmmMaker shared, size_t most_bytes)
      : own_(std::move(own)), shared_(std::move(shared)), most_bytes_(most_bytes) {}

  // What serves a run of `batch` images.  Called from several threads at once: one makes a program,
  // and the others wait for it only where the size is declared.
  std::shared_ptr<const SpmmProgram> program(const SpmmSize& size, int64_t batch, bool is_declared);
  // Of packed weights.
  size_t bytes() const;

 private:
  struct Kept {
    int64_t in_h, in_w;
    bool residual;
    int64_t runs, outputs;  // so far
    std::shared_ptr<const SpmmProgram> program;
    bool is_own, is_being_made;
  };

  std::shared_ptr<Kept> used(const SpmmSize& size);
  std::shared_ptr<const SpmmProgram> make(const SpmmSize& size, bool* is_own) const;
  void drop_oldest();

  const SpmmMaker own_, shared_;
  const size_t most_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable made_;
  int64_t parts_ = 0;
  std::vector<std::shared_ptr<Kept>> kept_;  // most recently used last
};

}  // namespace sparsepass

#endif  // SPARSEPASS_WEIGHT_SPARSE_SIZE_PROGRAMS_H_
