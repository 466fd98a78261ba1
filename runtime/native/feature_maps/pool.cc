#include "feature_maps/pool.h"

#include <algorithm>
#include <string>

#include "base/aligned.h"
#include "base/arithmetic.h"
#include "base/cache_lines.h"
#include "conv/workers.h"
#include "kernels/table.h"

namespace sparsepass {
namespace {

constexpr int64_t kMost = int64_t{1} << 31;

}  // namespace

std::string check_pool(const PoolParams& p) {
  for (const int64_t size : {p.kernel_h, p.kernel_w, p.stride_h, p.stride_w}) {
    if (size < 1 || size >= kMost) return "a kernel size or stride is " + std::to_string(size);
  }
  const bool fits = std::min({p.pad_top, p.pad_left, p.pad_bottom, p.pad_right}) >= 0 &&
                    std::max(p.pad_top, p.pad_bottom) < p.kernel_h &&
                    std::max(p.pad_left, p.pad_right) < p.kernel_w;
  return fits ? "" : "padding must be smaller than the kernel";
}

std::string check_pool_input(const PoolParams& p, const PoolShape& shape) {
  if (std::max(shape.in_h, shape.in_w) >= kMost) return "the input is too large";
  if (std::min(shape.in_h, shape.in_w) > 0 && shape.in_h + p.pad_top + p.pad_bottom >= p.kernel_h &&
      shape.in_w + p.pad_left + p.pad_right >= p.kernel_w) {
    return "";
  }
  return "the input, " + std::to_string(shape.in_h) + "x" + std::to_string(shape.in_w) +
         " and padding, is smaller than the kernel";
}

void run_max_pool(const PoolParams& params, const PoolShape& shape, const float* x, float* y,
                  const KernelTable& kernels, Host& host) {
  if (shape.planes == 0) return;
  const int64_t in = shape.in_h * shape.in_w;
  const int64_t out_h = params.out_h(shape.in_h), out_w = params.out_w(shape.in_w);
  const int64_t room = floats_in(kernels.tuning.pool_second_level, caches().second);
  const int64_t step = std::max<int64_t>(1, room / in);
  const int64_t tasks = divide_up(shape.planes, step);
  const int64_t floats = kernels.tuning.pool_rows * pool_row_floats(params, out_w);
  Workers(host, tasks, floats).run(tasks, [&](int64_t task, float* rows) {
    PoolJob job;
    job.params = &params;
    job.planes = std::min(step, shape.planes - task * step);
    job.x = x + task * step * in;
    job.y = y + task * step * out_h * out_w;
    job.in_h = shape.in_h;
    job.in_w = shape.in_w;
    job.out_h = out_h;
    job.out_w = out_w;
    job.rows = rows;
    if (!host.shares_cache()) flush_lines(job.y, 1, 0, job.planes * out_h * out_w);
    kernels.max_pool(job);
  });
}

}  // namespace sparsepass
