#include "weight_sparse/size_programs.h"

#include <algorithm>

namespace sparsepass {
namespace {

// Sizes whose runs are counted.
constexpr size_t kMostSizes = 256;

}  // namespace

std::shared_ptr<const SpmmProgram> SizePrograms::program(const SpmmSize& size, int64_t batch,
                                                         bool is_declared) {
  std::unique_lock<std::mutex> lock(mutex_);
  const std::shared_ptr<Kept> kept = used(size);
  if (is_declared) made_.wait(lock, [&] { return !kept->is_being_made; });
  ++kept->runs;
  kept->outputs += batch * size.positions();
  const bool pays =
      kept->runs > 1 && kept->outputs >= size.layer.kernels.tuning.own_program_outputs;
  bool is_own = (is_declared || pays) && !kept->is_own && !kept->is_being_made;
  if (kept->program && !is_own) return kept->program;

  const bool others_wait = is_own;
  if (others_wait) kept->is_being_made = true;
  lock.unlock();
  std::shared_ptr<const SpmmProgram> program;
  const auto finish = [&] {
    lock.lock();
    if (!others_wait) return;
    kept->is_being_made = false;
    made_.notify_all();
  };
  try {
    program = make(size, &is_own);
  } catch (...) {
    finish();
    throw;
  }
  finish();
  if (is_own || !kept->program) {
    kept->program = program;
    kept->is_own = is_own;
    drop_oldest();
  }
  return program;
}

size_t SizePrograms::bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t bytes = 0;
  for (const auto& kept : kept_) bytes += kept->program ? kept->program->bytes() : 0;
  return bytes;
}

// What is kept for a size, new or not, behind all others.
std::shared_ptr<SizePrograms::Kept> SizePrograms::used(const SpmmSize& size) {
  // Once more threads are seen, what was made for fewer is of no use.
  if (parts_ != size.parts) kept_.clear();
  parts_ = size.parts;
  const auto found = std::find_if(kept_.rbegin(), kept_.rend(), [&](const auto& kept) {
    return kept->in_h == size.in_h && kept->in_w == size.in_w && kept->residual == size.residual;
  });
  if (found != kept_.rend()) {
    std::rotate(found.base() - 1, found.base(), kept_.end());
    return kept_.back();
  }
  if (kept_.size() == kMostSizes) kept_.erase(kept_.begin());
  kept_.push_back(std::make_shared<Kept>(
      Kept{size.in_h, size.in_w, size.residual, 0, 0, nullptr, false, false}));
  return kept_.back();
}

// `is_own` says which program is wanted, and then which it is.
std::shared_ptr<const SpmmProgram> SizePrograms::make(const SpmmSize& size, bool* is_own) const {
  if (!*is_own) {
    if (std::shared_ptr<const SpmmProgram> program = shared_(size)) return program;
    *is_own = true;
  }
  return own_(size);
}

// All but the one used last may go.
void SizePrograms::drop_oldest() {
  size_t bytes = 0;
  size_t first = kept_.size();
  while (first > 0) {
    const SpmmProgram* program = kept_[first - 1]->program.get();
    bytes += program ? program->bytes() + program->map_bytes() : 0;
    if (bytes > most_bytes_ && first < kept_.size()) break;
    --first;
  }
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(first));
}

}  // namespace sparsepass
