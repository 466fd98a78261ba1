// Creates and runs the nodes of files, each kernel from several threads at once: for
// ThreadSanitizer, which has to see both sides of every hand-over.
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "fuzz/case.h"
#include "fuzz/node.h"

namespace {

using namespace sparsepass::fuzz;

constexpr int kThreads = 4, kRuns = 3;

template <class Work>
void at_once(Work work) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

// Each thread makes and runs a kernel of its own, then all run the same one.
bool try_at_once(const Case& given) {
  Node shared(given);
  if (!shared.is_possible() || !shared.create()) return false;
  at_once([&] {
    Node own(given);
    if (own.create()) own.run(true);
    for (int run = 0; run < kRuns; ++run) shared.run(true);
  });
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  keep_sessions();
  int kernels = 0;
  for (int i = 1; i < count; ++i) {
    std::ifstream file(arguments[i], std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    Case given = decode(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    for (given.isa = 0; given.isa < 3; ++given.isa) kernels += try_at_once(given);
  }
  std::printf("%d kernels, each on %d threads of its callers and 2 of its own\n", kernels,
              kThreads);
  return kernels > 0 ? 0 : 1;
}
