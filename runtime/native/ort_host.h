// What a kernel gets from ONNX Runtime while it runs: the session's threads and its arena.
#ifndef SPARSEPASS_ORT_HOST_H_
#define SPARSEPASS_ORT_HOST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "conv.h"
#include "ort_abi.h"

namespace sparsepass {

// How many threads a session has, as far as the calls of its nodes have seen.
struct ThreadCount {
  std::atomic<int> found{1};
  std::atomic<uint64_t> calls{0};
};

// The count that all nodes of a session share.
std::shared_ptr<ThreadCount> threads_of_session(const ort::Api& api, const ort::KernelInfo* info);

class OrtHost : public Host {
 public:
  OrtHost(const ort::Api& api, const ort::KernelContext* context,
          const ort::MemoryInfo* memory_info, ThreadCount* threads);
  ~OrtHost() override;
  OrtHost(const OrtHost&) = delete;
  OrtHost& operator=(const OrtHost&) = delete;

  void parallel_for(int64_t count, const std::function<void(int64_t)>& task) override;
  int threads() const override { return threads_; }
  // From the session's arena: the next layer gets the same memory, which the caches still hold.
  void* scratch(size_t bytes) override;

 private:
  int count_threads(int most);

  const ort::Api& api_;
  const ort::KernelContext* context_;
  const ort::MemoryInfo* memory_info_;
  ort::Allocator* allocator_ = nullptr;
  int threads_ = 1;
  std::vector<void*> memory_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_HOST_H_
