// How work is divided among the threads of a run.
#ifndef SPARSEPASS_CONV_PARALLEL_H_
#define SPARSEPASS_CONV_PARALLEL_H_

#include <cstdint>
#include <functional>

#include "conv/conv.h"

namespace sparsepass {

// Runs task(0, memory) .. task(count - 1, memory), each with `bytes` of scratch memory that no task
// running at the same time uses.  A worker that is done early takes tasks from the others.
void share_out(Host& host, int64_t count, int64_t bytes,
               const std::function<void(int64_t task, float* memory)>& task);

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_PARALLEL_H_
