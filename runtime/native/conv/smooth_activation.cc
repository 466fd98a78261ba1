#include "conv/smooth_activation.h"

#include <algorithm>
#include <utility>

#include "base/arithmetic.h"
#include "kernels/table.h"

namespace sparsepass {
namespace {

class SmoothlyActivated : public Conv {
 public:
  SmoothlyActivated(std::unique_ptr<Conv> conv, const ConvParams& params, SmoothActivation smooth,
                    const KernelTable& kernels)
      : conv_(std::move(conv)), params_(params), smooth_(smooth), kernels_(kernels) {}

  void run(const Operands& o, Host& host) const override {
    conv_->run(o, host);
    const int64_t size = o.batch * params_.filters * params_.out_h(o.in_h) * params_.out_w(o.in_w);
    const int64_t step = kernels_.tuning.smooth_task_floats;
    host.parallel_for(divide_up(size, step), [&](int64_t task) {
      const int64_t first = task * step;
      kernels_.smooth_activation({smooth_, o.y + first, 1, 0, std::min(step, size - first)});
    });
  }

  size_t packed_bytes() const override { return conv_->packed_bytes(); }

 private:
  const std::unique_ptr<Conv> conv_;
  const ConvParams params_;
  const SmoothActivation smooth_;
  const KernelTable& kernels_;
};

}  // namespace

std::unique_ptr<Conv> with_smooth_activation(std::unique_ptr<Conv> conv, const ConvParams& params,
                                             const Epilogue& epilogue, const KernelTable& kernels) {
  if (epilogue.smooth == SmoothActivation::none) return conv;
  return std::make_unique<SmoothlyActivated>(std::move(conv), params, epilogue.smooth, kernels);
}

}  // namespace sparsepass
