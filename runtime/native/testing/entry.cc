// The entries through which the tests run every algorithm on every instruction set, without a
// session.  They are a library of their own, which does not ship.
#include <algorithm>
#include <cstring>
#include <exception>
#include <iterator>
#include <thread>
#include <vector>

#include "activation_sparse/break_even.h"
#include "base/aligned.h"
#include "base/export.h"
#include "base/machine.h"
#include "base/tuning.h"
#include "conv/algorithms.h"
#include "conv/payload.h"
#include "feature_maps/largest.h"
#include "feature_maps/lrn.h"
#include "feature_maps/pool.h"
#include "kernels/table.h"

namespace {

using namespace sparsepass;

class TestHost : public Host {
 public:
  explicit TestHost(int threads) : threads_(threads) {}
  void parallel_for(int64_t count, const std::function<void(int64_t)>& task) override {
    std::vector<std::thread> others;
    for (int t = 1; t < threads_; ++t) {
      others.emplace_back([&, t] {
        for (int64_t i = t; i < count; i += threads_) task(i);
      });
    }
    for (int64_t i = 0; i < count; i += threads_) task(i);
    for (std::thread& other : others) other.join();
  }
  int threads() const override { return threads_; }
  bool shares_cache() const override { return threads_ == 1; }
  void* scratch(size_t bytes) override {
    if (used_ == memory_.size()) {
      bytes_ += bytes;
      memory_.push_back(allocate_floats(static_cast<int64_t>(bytes / sizeof(float)) + 1));
      // What was not written must not matter.
      std::memset(memory_.back().get(), 0xFF, bytes);
    }
    return memory_[used_++].get();
  }
  // Ends a run; the next one gets the same memory, in the same order.
  void rewind() { used_ = 0; }
  size_t scratch_bytes() const { return bytes_; }

 private:
  int threads_;
  size_t used_ = 0, bytes_ = 0;
  std::vector<AlignedFloats> memory_;
};

}  // namespace

// Everything about one convolution; `shape` is batch, channels, height, width of the input.
struct SparsepassTest {
  char algorithm[32];
  int32_t isa, threads, repeats;
  int32_t smooth;
  int64_t params[13];  // as ConvParams
  int64_t shape[4];
  float epilogue[3];  // slope, low, high
  const float* values;
  const int32_t* indices;
  int64_t count;
  const float* bias;
  const float* x;
  const float* residual;
  float* y;
  int64_t packed_bytes;   // out: what the algorithm holds after the runs
  int64_t scratch_bytes;  // out: what it asked of its host for one
};

// 0: done.  1: `message` says why not.  2: this machine or build has no such instruction set.
SP_EXPORT int sparsepass_test(SparsepassTest* test, char* message, size_t message_bytes) {
  const auto fail = [&](const std::string& text) {
    std::strncpy(message, text.c_str(), message_bytes - 1);
    message[message_bytes - 1] = 0;
    return 1;
  };
  if (test->isa < 0 || test->isa > static_cast<int>(best_isa())) return 2;
  const KernelTable* kernels = kernels_for(static_cast<Isa>(test->isa));
  if (!kernels) return 2;
  ConvFactory* factory = find_algorithm(test->algorithm);
  if (!factory) return fail("no such algorithm");
  ConvParams params;
  static_assert(sizeof(params) == sizeof(test->params), "13 integers");
  std::memcpy(&params, test->params, sizeof(params));
  const Weight weight = {test->values, test->indices, test->count};
  const Epilogue epilogue = {test->epilogue[0], test->epilogue[1], test->epilogue[2],
                             static_cast<SmoothActivation>(test->smooth)};
  try {
    std::string error;
    const std::unique_ptr<Conv> conv =
        factory(params, weight, test->bias, epilogue, *kernels, &error);
    if (!conv) return fail(error);
    error = check_input(params, test->shape[0], test->shape[1], test->shape[2], test->shape[3]);
    if (!error.empty()) return fail(error);
    const Operands operands = {test->x,        test->residual, test->y, test->shape[0],
                               test->shape[2], test->shape[3], true};
    TestHost host(test->threads);
    for (int r = 0; r < test->repeats && operands.batch > 0; ++r) {
      conv->run(operands, host);
      host.rewind();
    }
    test->packed_bytes = static_cast<int64_t>(conv->packed_bytes());
    test->scratch_bytes = static_cast<int64_t>(host.scratch_bytes());
  } catch (const std::exception& error) {
    return fail(error.what());
  }
  return 0;
}

// Local response normalisation; `shape` is batch, channels, pixels.  Returns what sparsepass_test
// does.
SP_EXPORT int sparsepass_test_lrn(int32_t isa, int32_t threads, const LrnParams* params,
                                  const LrnShape* shape, const float* x, float* y) {
  if (isa < 0 || isa > static_cast<int>(best_isa())) return 2;
  const KernelTable* kernels = kernels_for(static_cast<Isa>(isa));
  if (!kernels) return 2;
  if (!check_lrn(*params).empty()) return 1;
  TestHost host(threads);
  run_lrn(*params, *shape, x, y, *kernels, host);
  return 0;
}

// The largest of every few channels; `shape` is batch, channels, pixels.  Returns what
// sparsepass_test does.
SP_EXPORT int sparsepass_test_largest(int32_t isa, int32_t threads, const LargestParams* params,
                                      const LargestShape* shape, const float* x, float* y) {
  if (isa < 0 || isa > static_cast<int>(best_isa())) return 2;
  const KernelTable* kernels = kernels_for(static_cast<Isa>(isa));
  if (!kernels) return 2;
  if (!check_largest(*params).empty()) return 1;
  if (!check_largest_input(*params, shape->channels).empty()) return 1;
  TestHost host(threads);
  run_largest(*params, *shape, x, y, *kernels, host);
  return 0;
}

// Max pooling.  Returns what sparsepass_test does.
SP_EXPORT int sparsepass_test_max_pool(int32_t isa, int32_t threads, const PoolParams* params,
                                       const PoolShape* shape, const float* x, float* y) {
  if (isa < 0 || isa > static_cast<int>(best_isa())) return 2;
  const KernelTable* kernels = kernels_for(static_cast<Isa>(isa));
  if (!kernels) return 2;
  if (!check_pool(*params).empty() || !check_pool_input(*params, *shape).empty()) return 1;
  TestHost host(threads);
  run_max_pool(*params, *shape, x, y, *kernels, host);
  return 0;
}

// Calls `add` with the values of every constant on baseline, avx2, avx512 and Intel's avx512.
SP_EXPORT void sparsepass_test_tuning(void (*add)(const char*, double, double, double, double)) {
#define SP_FOR_EACH(type, name, ...)                                        \
  add(#name, baseline::tuning.name, avx2::tuning.name, avx512::tuning.name, \
      avx512::intel_tuning.name);
#define SP_FOR_ALL SP_FOR_EACH
#include "base/tuning.inc"
#undef SP_FOR_ALL
#undef SP_FOR_EACH
}

// The share of non-zeros up to which CPO and CPS take their encoded path; `params` as ConvParams.
SP_EXPORT double sparsepass_test_break_even(int32_t isa, const int64_t params[13]) {
  const Tuning* all[] = {&baseline::tuning, &avx2::tuning,
                         is_intel() ? &avx512::intel_tuning : &avx512::tuning};
  ConvParams given;
  std::memcpy(&given, params, sizeof(given));
  return break_even_density(given, *all[isa]);
}

// Bytes of the caches of a core: data and code of the first level, second level, last level.
SP_EXPORT void sparsepass_test_caches(int64_t bytes[4]) {
  const Caches& found = caches();
  const int64_t all[] = {found.data, found.code, found.second, found.last};
  std::copy(std::begin(all), std::end(all), bytes);
}
