#include "conv/parallel.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "base/arithmetic.h"

namespace sparsepass {

void share_out(Host& host, int64_t count, int64_t bytes,
               const std::function<void(int64_t, float*)>& task) {
  int64_t workers = std::min<int64_t>(host.threads(), count);
  int64_t each = round_up(bytes, 64);
  int64_t total = product({each, workers});
  if (total < 0) throw std::bad_alloc();
  char* memory = static_cast<char*>(host.scratch(total));
  std::atomic<int64_t> next{0};
  host.parallel_for(workers, [&](int64_t worker) {
    float* own = reinterpret_cast<float*>(memory + worker * each);
    for (int64_t i = next++; i < count; i = next++) task(i, own);
  });
}

}  // namespace sparsepass
