#include "dense/direct.h"

#include <utility>

#include "conv/algorithms.h"

namespace sparsepass {

Direct::Direct(const ConvParams& params, const Weight& weight, std::vector<float> bias,
               const Epilogue& epilogue, const KernelTable& kernels)
    : params_(params),
      weight_(weight),
      bias_(std::move(bias)),
      epilogue_(epilogue),
      kernels_(kernels) {}

void Direct::run(const Operands& operands, const std::vector<std::atomic<bool>>& chosen,
                 Host& host) const {
  const int64_t in = params_.channels() * operands.in_h * operands.in_w;
  const int64_t out = params_.filters * params_.out_h(operands.in_h) * params_.out_w(operands.in_w);
  for (int64_t i = 0; i < operands.batch; ++i) {
    if (!chosen[i]) continue;
    Operands image = operands;
    image.batch = 1;
    image.x += i * in;
    image.y += i * out;
    if (image.residual) image.residual += i * out;
    conv().run(image, host);
  }
}

size_t Direct::packed_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return conv_ ? conv_->packed_bytes() : 0;
}

// Checked before: the factory does not refuse.
const Conv& Direct::conv() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string error;
  if (!conv_) conv_ = make_im2col(params_, weight_, bias_.data(), epilogue_, kernels_, &error);
  return *conv_;
}

}  // namespace sparsepass
