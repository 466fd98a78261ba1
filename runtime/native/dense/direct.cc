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
  // Images that follow each other share their working memory.
  for (int64_t first = 0, end; first < operands.batch; first = end) {
    end = first + 1;
    if (!chosen[first]) continue;
    while (end < operands.batch && chosen[end]) ++end;
    conv().run(images_of(operands, params_, first, end), host);
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
