#include "gemm.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <new>

#include "payload.h"

namespace sparsepass {

AlignedFloats allocate_floats(int64_t count) {
  const int64_t bytes = count < 0 ? -1 : product({round_up(std::max<int64_t>(count, 1), 16), 4});
  if (bytes < 0) throw std::bad_alloc();
  AlignedFloats floats(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (floats == nullptr) throw std::bad_alloc();
  return floats;
}

int64_t product(std::initializer_list<int64_t> sizes) {
  constexpr int64_t kMost = int64_t{1} << 48;
  int64_t result = 1;
  for (int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(result, size, &result) || result > kMost) return -1;
  }
  return result;
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

std::string check_dense(const ConvParams& params, const Weight& weight) {
  std::string error = check_params(params);
  if (!error.empty()) return error;
  if (weight.indices != nullptr) return "the weight is sparse; this algorithm takes it dense";
  return check_weight(params, weight);
}

void pack_gemm_weight(const float* weight, int64_t filters, int64_t filter_stride, int64_t depth,
                      const std::function<int64_t(int64_t)>& order, int64_t lanes, float* packed) {
  for (int64_t d = 0; d < depth; ++d) {
    const float* from = weight + order(d);
    for (int64_t f = 0; f < round_up(filters, lanes); ++f) {
      packed[(f / lanes * depth + d) * lanes + f % lanes] =
          f < filters ? from[f * filter_stride] : 0;
    }
  }
}

GemmLanes best_gemm_lanes(int64_t filters, int64_t columns, int64_t depth, int64_t lanes) {
  // A sum that is transposed takes as long as this many multiplications more.
  constexpr double kTransposition = 11;
  double by_columns = static_cast<double>(round_up(columns, lanes) * filters);
  double by_filters = static_cast<double>(round_up(filters, lanes) * columns);
  by_filters *= 1 + kTransposition / static_cast<double>(depth);
  return by_columns <= by_filters ? GemmLanes::columns : GemmLanes::filters;
}

void share_out(Host& host, int64_t count, int64_t bytes,
               const std::function<void(int64_t, float*)>& task) {
  int64_t workers = std::min<int64_t>(host.threads(), count);
  int64_t each = round_up(bytes, 64);
  int64_t total = product({each, workers});
  if (total < 0) throw std::bad_alloc();
  char* memory = static_cast<char*>(host.scratch(total));
  std::atomic<int64_t> next{0};
  host.parallel_for(workers, [&](int64_t worker) {
    float* own = reinterpret_cast<float*>(memory + worker * each);
    for (int64_t i = next++; i < count; i = next++) task(i, own);
  });
}

}  // namespace sparsepass
