#include "base/machine.h"

#include <algorithm>

#if !defined(_WIN32)
#include <unistd.h>
#endif

namespace sparsepass {

const char* isa_name(Isa isa) {
  static const char* const names[kIsaCount] = {"baseline", "avx2", "avx512"};
  return names[static_cast<int>(isa)];
}

Isa best_isa() {
#if defined(__x86_64__)
  // The builtin also asks the operating system whether it saves the wide registers.
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return Isa::avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::baseline;
}

int64_t second_level_cache() {
  constexpr int64_t kCommon = 256 * 1024;
#if defined(_SC_LEVEL2_CACHE_SIZE)
  static const int64_t bytes = std::max<int64_t>(sysconf(_SC_LEVEL2_CACHE_SIZE), kCommon);
  return bytes;
#else
  return kCommon;
#endif
}

}  // namespace sparsepass
