#include "conv/curve.h"

#include <algorithm>
#include <utility>

#include "base/arithmetic.h"
#include "kernels/table.h"

namespace sparsepass {
namespace {

class Curved : public Conv {
 public:
  Curved(std::unique_ptr<Conv> conv, const ConvParams& params, Curve curve,
         const KernelTable& kernels)
      : conv_(std::move(conv)), params_(params), curve_(curve), kernels_(kernels) {}

  void run(const Operands& o, Host& host) const override {
    conv_->run(o, host);
    const int64_t size = o.batch * params_.filters * params_.out_h(o.in_h) * params_.out_w(o.in_w);
    const int64_t step = kernels_.tuning.curve_task_floats;
    host.parallel_for(divide_up(size, step), [&](int64_t task) {
      const int64_t first = task * step;
      kernels_.curve({curve_, o.y + first, 1, 0, std::min(step, size - first)});
    });
  }

  size_t packed_bytes() const override { return conv_->packed_bytes(); }

 private:
  const std::unique_ptr<Conv> conv_;
  const ConvParams params_;
  const Curve curve_;
  const KernelTable& kernels_;
};

}  // namespace

std::unique_ptr<Conv> with_curve(std::unique_ptr<Conv> conv, const ConvParams& params,
                                 const Epilogue& epilogue, const KernelTable& kernels) {
  if (epilogue.curve == Curve::none) return conv;
  return std::make_unique<Curved>(std::move(conv), params, epilogue.curve, kernels);
}

}  // namespace sparsepass
