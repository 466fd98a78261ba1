// What a kernel gets from ONNX Runtime while it runs: the session's threads and its arena.
#ifndef SPARSEPASS_ORT_HOST_H_
#define SPARSEPASS_ORT_HOST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "conv/conv.h"
#include "ort/abi.h"

namespace sparsepass {

// The threads of a session, as far as the calls of its nodes have seen.
struct SessionThreads {
  std::atomic<int> found{1};
  std::atomic<bool> shares_cache{true};  // see Host
  std::atomic<uint64_t> calls{0};
};

// What all nodes of a session share.
std::shared_ptr<SessionThreads> threads_of_session(const ort::Api& api,
                                                   const ort::KernelInfo* info);

class OrtHost : public Host {
 public:
  OrtHost(const ort::Api& api, const ort::KernelContext* context,
          const ort::MemoryInfo* memory_info, SessionThreads* threads);
  ~OrtHost() override;
  OrtHost(const OrtHost&) = delete;
  OrtHost& operator=(const OrtHost&) = delete;

  void parallel_for(int64_t count, const std::function<void(int64_t)>& task) override;
  int threads() const override { return threads_; }
  bool shares_cache() const override { return shares_cache_; }
  // From the session's arena: the next layer gets the same memory, which the caches still hold.
  void* scratch(size_t bytes) override;

 private:
  int count_threads(int most);
  bool measure_shares_cache(bool before);

  const ort::Api& api_;
  const ort::KernelContext* context_;
  const ort::MemoryInfo* memory_info_;
  ort::Allocator* allocator_ = nullptr;
  int threads_ = 1;
  bool shares_cache_ = true;
  std::vector<void*> memory_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_HOST_H_
