#include "base/machine.h"

#include <algorithm>
#include <fstream>
#include <string>

#if defined(_WIN32)
#include <windows.h>

#include <vector>
#else
#include <unistd.h>
#endif

// What sysconf() calls the size of a cache, where it knows it.
#if defined(_SC_LEVEL1_DCACHE_SIZE)
#define SP_CACHE_NAME(cache) _SC_##cache##_SIZE
#else
#define SP_CACHE_NAME(cache) -1
#endif

namespace sparsepass {
namespace {

#if defined(__linux__)

// Bytes of the first core's cache of a level, of data, instructions or both (D, I, U); 0 where the
// system does not say.  Of a last-level cache that some cores share, sysconf() may give the sum
// over the processor.
int64_t cache_bytes(int name, int level, char type) {
  for (int index = 0;; ++index) {
    const std::string cache =
        "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    std::ifstream levels(cache + "level"), types(cache + "type"), sizes(cache + "size");
    int found_level = 0;
    char found_type = 0;
    int64_t kib = 0;  // as 32K
    if (!(levels >> found_level) || !(types >> found_type) || !(sizes >> kib)) break;
    if (found_level == level && found_type == type) return kib << 10;
  }
  return name < 0 ? 0 : std::max<int64_t>(0, sysconf(name));
}

#elif defined(_WIN32)

int64_t cache_bytes(int, int level, char type) {
  DWORD bytes = 0;
  GetLogicalProcessorInformation(nullptr, &bytes);
  std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> parts(bytes / sizeof(parts[0]));
  if (!GetLogicalProcessorInformation(parts.data(), &bytes)) return 0;
  const PROCESSOR_CACHE_TYPE wanted = type == 'D'   ? CacheData
                                      : type == 'I' ? CacheInstruction
                                                    : CacheUnified;
  for (const SYSTEM_LOGICAL_PROCESSOR_INFORMATION& part : parts) {
    const bool found = part.Relationship == RelationCache && part.Cache.Level == level &&
                       part.Cache.Type == wanted;
    if (found) return part.Cache.Size;
  }
  return 0;
}

#else

int64_t cache_bytes(int, int, char) { return 0; }

#endif

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

bool is_intel() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_is("intel");
#else
  return false;
#endif
}

const Caches& caches() {
  static const Caches found = {
      std::max<int64_t>(cache_bytes(SP_CACHE_NAME(LEVEL1_DCACHE), 1, 'D'), 32 << 10),
      std::max<int64_t>(cache_bytes(SP_CACHE_NAME(LEVEL1_ICACHE), 1, 'I'), 32 << 10),
      std::max<int64_t>(cache_bytes(SP_CACHE_NAME(LEVEL2_CACHE), 2, 'U'), 256 << 10),
      std::max<int64_t>(cache_bytes(SP_CACHE_NAME(LEVEL3_CACHE), 3, 'U'), 8 << 20)};
  return found;
}

int64_t floats_in(double share, int64_t cache_bytes) {
  return static_cast<int64_t>(share * static_cast<double>(cache_bytes)) / 4;
}

}  // namespace sparsepass
