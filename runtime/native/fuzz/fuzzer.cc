// The entries of libFuzzer: bytes to a node, its kernel and a first run.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuzz/case.h"
#include "fuzz/mutate.h"
#include "fuzz/node.h"

namespace {

using namespace sparsepass::fuzz;

struct Counts {
  // Cases that a session could hand to the library; of these, kernels; of these, finished runs.
  uint64_t executions, possible, created, ran;
};

Counts g_counts;

void print_counts() {
  const auto share = [](uint64_t count) {
    return 100.0 * static_cast<double>(count) / static_cast<double>(g_counts.executions);
  };
  if (g_counts.executions == 0) return;
  std::fprintf(stderr,
               "payloads: %llu executions; %.1f %% reached the creation of a kernel, %.1f %% "
               "created one, %.1f %% ran it\n",
               static_cast<unsigned long long>(g_counts.executions), share(g_counts.possible),
               share(g_counts.created), share(g_counts.ran));
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  keep_sessions();
  std::atexit(print_counts);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ++g_counts.executions;
  const Case given = decode(data, size);
  Node node(given);
  if (!node.is_possible()) return 0;
  ++g_counts.possible;
  node.infer_shape();
  if (!node.create()) return 0;
  ++g_counts.created;
  if (node.run(false)) ++g_counts.ran;
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  Random random(seed);
  if (random() % 32 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Case given = decode(data, size);
  const bool renewed = random() % 4 == 0;
  if (renewed) renew(&given, random);
  for (uint64_t faults = random() % 3 + (renewed ? 0 : 1); faults > 0; --faults) {
    spoil(&given, random);
  }
  const std::string made = encode(given);
  if (made.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, made.data(), made.size());
  return made.size();
}
