// Working memory for tasks that run at the same time, one slot each, reused from task to task.
#ifndef SPARSEPASS_CONV_SCRATCH_H_
#define SPARSEPASS_CONV_SCRATCH_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/tuning.h"
#include "conv/conv.h"

namespace sparsepass {

class ScratchSlots {
 public:
  // `count` slots of `floats` floats, aligned to 64 bytes.  A task that finds no slot free waits
  // for one.  Where there are several, their distance is the same in all layers: a core then gets
  // memory that it has in its cache.
  ScratchSlots(Host& host, int64_t count, int64_t floats) {
    const int64_t unit = count > 1 ? Tuning::slot_floats : kLineFloats;
    const int64_t size = (floats + unit - 1) / unit * unit;
    float* memory =
        size ? static_cast<float*>(host.scratch(count * size * sizeof(float))) : nullptr;
    for (int64_t i = count - 1; i >= 0; --i) free_.push_back(memory + i * size);
  }

  // Holds one slot while it lives.
  class Lease {
   public:
    explicit Lease(ScratchSlots& slots) : slots_(slots) {
      std::unique_lock<std::mutex> lock(slots_.mutex_);
      slots_.returned_.wait(lock, [&] { return !slots_.free_.empty(); });
      data_ = slots_.free_.back();
      slots_.free_.pop_back();
    }
    ~Lease() {
      {
        const std::lock_guard<std::mutex> lock(slots_.mutex_);
        slots_.free_.push_back(data_);
      }
      slots_.returned_.notify_one();
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    float* data() const { return data_; }

   private:
    ScratchSlots& slots_;
    float* data_;
  };

 private:
  static constexpr int64_t kLineFloats = 16;

  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<float*> free_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_SCRATCH_H_
