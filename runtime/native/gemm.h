// What the convolutions that lower to a dense matrix product share: memory, packed weights, the
// choice of a kernel for a shape, and the division of work among threads.
#ifndef SPARSEPASS_GEMM_H_
#define SPARSEPASS_GEMM_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "conv.h"
#include "gemm_kernel.h"

namespace sparsepass {

struct FreeFloats {
  void operator()(float* floats) const { std::free(floats); }
};
using AlignedFloats = std::unique_ptr<float[], FreeFloats>;

// `count` floats aligned to 64 bytes, for packed weights; throws std::bad_alloc, also where the
// count is the -1 of product().
AlignedFloats allocate_floats(int64_t count);

// The product of sizes, or -1 where one is negative or the result passes 2^48.
int64_t product(std::initializer_list<int64_t> sizes);

// `value` rounded up to a multiple of `unit`.
constexpr int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

constexpr int64_t divide_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit; }

// Bytes of second-level cache a core has, as the system reports it, or a small common size.
int64_t second_level_cache();

// Empty, or why these cannot make a convolution with a dense weight.
std::string check_dense(const ConvParams& params, const Weight& weight);

// Packs the weight of one product for GemmJob: element (filter, depth) is
// weight[filter * filter_stride + order(depth)].  `packed` takes
// round_up(filters, lanes) * depth floats.
void pack_gemm_weight(const float* weight, int64_t filters, int64_t filter_stride, int64_t depth,
                      const std::function<int64_t(int64_t)>& order, int64_t lanes, float* packed);

// The kernel that takes less time, counting idle lanes and the transposition of the sums.
GemmLanes best_gemm_lanes(int64_t filters, int64_t columns, int64_t depth, int64_t lanes);

// Runs task(0, memory) .. task(count - 1, memory), each with `bytes` of scratch memory that no task
// running at the same time uses.  A worker that is done early takes tasks from the others.
void share_out(Host& host, int64_t count, int64_t bytes,
               const std::function<void(int64_t task, float* memory)>& task);

}  // namespace sparsepass

#endif  // SPARSEPASS_GEMM_H_
