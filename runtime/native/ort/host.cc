#include "ort/host.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <thread>

#include "base/tuning.h"
#include "ort/error.h"

namespace sparsepass {
namespace {

constexpr size_t kLine = 64;

constexpr int kTurns = 4;
constexpr int kHandovers = 8;  // of a turn
// Reading the clock takes as long as a handover.
constexpr int kSpinsBetweenLooks = 64;

struct Tasks {
  const std::function<void(int64_t)>* task;
  std::atomic<bool> failed;
  std::exception_ptr error;

  static void run(void* data, size_t index) {
    Tasks& tasks = *static_cast<Tasks*>(data);
    try {
      (*tasks.task)(static_cast<int64_t>(index));
    } catch (...) {
      if (!tasks.failed.exchange(true)) tasks.error = std::current_exception();
    }
  }
};

}  // namespace

// The logger tells sessions apart: each has one of its own.  Without a logger a node counts threads
// for itself.
std::shared_ptr<SessionThreads> threads_of_session(const ort::Api& api,
                                                   const ort::KernelInfo* info) {
  const ort::Logger* session = nullptr;
  if (ort::Status* status = api.KernelInfo_GetLogger()(info, &session)) {
    api.ReleaseStatus()(status);
    return std::make_shared<SessionThreads>();
  }
  // Never destroyed: sessions may be made and released while the process exits.
  static auto& mutex = *new std::mutex;
  static auto& sessions = *new std::map<const ort::Logger*, std::weak_ptr<SessionThreads>>;
  const std::lock_guard<std::mutex> lock(mutex);
  for (auto entry = sessions.begin(); entry != sessions.end();) {
    entry = entry->second.expired() ? sessions.erase(entry) : std::next(entry);
  }
  std::shared_ptr<SessionThreads> threads = sessions[session].lock();
  if (!threads) sessions[session] = threads = std::make_shared<SessionThreads>();
  return threads;
}

// Threads are counted in calls 1, 2, 4, 8, ... of a session.  One count may miss a thread that
// sleeps, so the largest is kept.
OrtHost::OrtHost(const ort::Api& api, const ort::KernelContext* context,
                 const ort::MemoryInfo* memory_info, SessionThreads* threads)
    : api_(api), context_(context), memory_info_(memory_info) {
  // Static, because asking the system takes microseconds.
  static const int most = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const uint64_t call = threads->calls.fetch_add(1) + 1;
  if (threads->found.load() < most && (call & (call - 1)) == 0) {
    threads->found.store(std::max(threads->found.load(), count_threads(most)));
  }
  threads_ = threads->found.load();
  // The system moves threads now and then.
  if (threads_ > 1 && ((call & (call - 1)) == 0 || call % Tuning::shared_cache_calls == 0)) {
    threads->shares_cache.store(measure_shares_cache(threads->shares_cache.load()));
  }
  shares_cache_ = threads->shares_cache.load();
}

OrtHost::~OrtHost() {
  for (void* memory : memory_) {
    if (ort::Status* status = api_.AllocatorFree()(allocator_, memory)) {
      api_.ReleaseStatus()(status);
    }
  }
  if (allocator_) api_.ReleaseAllocator()(allocator_);
}

void OrtHost::parallel_for(int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 1) {
    if (count == 1) task(0);
    return;
  }
  Tasks tasks = {&task, {}, {}};
  check(api_,
        api_.KernelContext_ParallelFor()(context_, &Tasks::run, static_cast<size_t>(count), 0,
                                         &tasks),
        "ONNX Runtime could not start its threads");
  if (tasks.failed.load()) std::rethrow_exception(tasks.error);
}

void* OrtHost::scratch(size_t bytes) {
  if (!allocator_) {
    check(api_, api_.KernelContext_GetAllocator()(context_, memory_info_, &allocator_),
          "the session has no allocator");
  }
  memory_.reserve(memory_.size() + 1);
  void* memory = nullptr;
  ort::Status* status = api_.AllocatorAlloc()(allocator_, bytes + kLine, &memory);
  if (status) api_.ReleaseStatus()(status);
  if (!memory) throw std::bad_alloc();
  memory_.push_back(memory);
  const uintptr_t address = reinterpret_cast<uintptr_t>(memory);
  return reinterpret_cast<void*>((address + kLine - 1) / kLine * kLine);
}

// The C API does not say how many threads a session has, and work that is divided among too many
// takes longer.  So as many tasks as the machine has threads are started.  Each waits until all
// have begun, a millisecond at most, so that no thread takes two; different threads are counted.
int OrtHost::count_threads(int most) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  std::atomic<int> arrived{0};
  parallel_for(most, [&](int64_t) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      seen.insert(std::this_thread::get_id());
    }
    arrived.fetch_add(1);
    while (arrived.load() < most && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
  });
  return static_cast<int>(seen.size());
}

// Two tasks hand a number to each other and back, and take the least time of some turns: whatever
// interrupts a core only adds to it.  Returns `before` where they do not run at the same time.
bool OrtHost::measure_shares_cache(bool before) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(50);
  std::atomic<int> number{-1};
  std::atomic<bool> shares_cache{before};
  parallel_for(2, [&](int64_t task) {
    const auto wait_for = [&](int value) {
      for (int spins = 1; number.load() != value; ++spins) {
        if (spins % kSpinsBetweenLooks == 0 && Clock::now() > end) return false;
      }
      return true;
    };
    constexpr int kAll = kTurns * kHandovers;
    if (task == 1) {
      number.store(0);
      for (int i = 0; i < kAll && wait_for(2 * i + 1); ++i) number.store(2 * i + 2);
      return;
    }
    if (!wait_for(0)) return;
    Clock::duration least = Clock::duration::max();
    auto begin = Clock::now();
    for (int i = 0; i < kAll; ++i) {
      number.store(2 * i + 1);
      if (!wait_for(2 * i + 2)) return;
      if ((i + 1) % kHandovers != 0) continue;
      const auto now = Clock::now();
      least = std::min(least, now - begin);
      begin = now;
    }
    const std::chrono::duration<double> most(kHandovers * Tuning::shared_cache_seconds);
    shares_cache.store(least <= most);
  });
  return shares_cache.load();
}

}  // namespace sparsepass
