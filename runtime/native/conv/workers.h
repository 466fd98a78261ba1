// How work is divided among the threads of a run.
#ifndef SPARSEPASS_CONV_WORKERS_H_
#define SPARSEPASS_CONV_WORKERS_H_

#include <cstdint>
#include <functional>

#include "conv/conv.h"

namespace sparsepass {

// Tasks that run at the same time, each with memory that no other of them uses.
class Workers {
 public:
  // As many as the host has threads, at most `most`; each has `floats` floats, aligned to a line of
  // the cache, for all its tasks.  Where there are several, the distance of their memory is the
  // same in all layers: a core then gets memory that it has in its cache.  Throws std::bad_alloc.
  Workers(Host& host, int64_t most, int64_t floats);

  // Runs task(0, memory) .. task(count - 1, memory), and returns when all are done.  A worker that
  // is done early takes tasks from the others.
  void run(int64_t count, const std::function<void(int64_t task, float* memory)>& task) const;

 private:
  Host& host_;
  const int64_t count_;
  int64_t stride_;  // floats
  float* memory_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_WORKERS_H_
