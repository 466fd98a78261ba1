// A convolution as plain sums, for images that another algorithm cannot compute.
#ifndef SPARSEPASS_DENSE_DIRECT_H_
#define SPARSEPASS_DENSE_DIRECT_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "conv/conv.h"
#include "kernels/table.h"

namespace sparsepass {

// Packs the weight, which outlives it, when it is first needed.
class Direct {
 public:
  Direct(const ConvParams& params, const Weight& weight, std::vector<float> bias,
         const Epilogue& epilogue, const KernelTable& kernels);

  // Computes every image i of `operands` anew whose chosen[i] is set; the residual is not the
  // output.
  void run(const Operands& operands, const std::vector<std::atomic<bool>>& chosen,
           Host& host) const;

  size_t packed_bytes() const;

 private:
  const Conv& conv() const;

  const ConvParams params_;
  const Weight weight_;
  const std::vector<float> bias_;
  const Epilogue epilogue_;
  const KernelTable& kernels_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<Conv> conv_;
};

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_DIRECT_H_
