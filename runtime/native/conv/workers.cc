#include "conv/workers.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "base/arithmetic.h"
#include "base/tuning.h"

namespace sparsepass {
namespace {

constexpr int64_t kLineFloats = 16;

}  // namespace

Workers::Workers(Host& host, int64_t most, int64_t floats)
    : host_(host), count_(std::min<int64_t>(host.threads(), most)) {
  stride_ = round_up(floats, count_ > 1 ? Tuning::slot_floats : kLineFloats);
  const int64_t bytes = product({stride_, count_, static_cast<int64_t>(sizeof(float))});
  if (bytes < 0) throw std::bad_alloc();
  memory_ = bytes == 0 ? nullptr : static_cast<float*>(host.scratch(bytes));
}

void Workers::run(int64_t count, const std::function<void(int64_t, float*)>& task) const {
  std::atomic<int64_t> next{0};
  host_.parallel_for(std::min(count_, count), [&](int64_t worker) {
    float* own = memory_ + worker * stride_;
    for (int64_t i = next++; i < count; i = next++) task(i, own);
  });
}

}  // namespace sparsepass
