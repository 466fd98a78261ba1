#include "base/machine.h"

#include <algorithm>

#if defined(_WIN32)
#include <windows.h>

#include <vector>
#else
#include <unistd.h>
#endif

namespace sparsepass {
namespace {

// As the system reports it; nothing, or 0, where it does not.
int64_t reported_second_level_cache() {
#if defined(_WIN32)
  DWORD bytes = 0;
  GetLogicalProcessorInformation(nullptr, &bytes);
  std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> parts(bytes / sizeof(parts[0]));
  if (!GetLogicalProcessorInformation(parts.data(), &bytes)) return 0;
  for (const SYSTEM_LOGICAL_PROCESSOR_INFORMATION& part : parts) {
    if (part.Relationship == RelationCache && part.Cache.Level == 2) return part.Cache.Size;
  }
#elif defined(_SC_LEVEL2_CACHE_SIZE)
  return sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
  return 0;
}

}  // namespace

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
  static const int64_t bytes = std::max(reported_second_level_cache(), kCommon);
  return bytes;
}

}  // namespace sparsepass
