// Depthwise convolution: one input channel for each filter, straight from the NCHW tensor.
#include <algorithm>
#include <vector>

#include "base/arithmetic.h"
#include "conv/algorithms.h"
#include "conv/payload.h"
#include "kernels/table.h"

namespace sparsepass {
namespace {

class Depthwise : public Conv {
 public:
  Depthwise(const ConvParams& params, const Weight& weight, const float* bias,
            const Epilogue& epilogue, const KernelTable& kernels)
      : params_(params),
        epilogue_(epilogue),
        kernels_(kernels),
        weight_(weight.values, weight.values + weight.count),
        bias_(bias, bias + params.filters) {}

  void run(const Operands& o, Host& host) const override {
    const int64_t filters = params_.filters;
    // Filters of one task; the last task of an image may have fewer.
    int64_t step = filters;
    if (host.threads() > 1) {
      const int64_t work =
          std::max<int64_t>(1, params_.out_h(o.in_h) * params_.out_w(o.in_w) * params_.taps());
      const int64_t least = divide_up(kernels_.tuning.parallel_multiplies, work);
      const int64_t share = (filters + 2 * host.threads() - 1) / (2 * host.threads());
      step = std::min(filters, std::max(least, share));
    }
    const int64_t per_image = (filters + step - 1) / step;
    host.parallel_for(o.batch * per_image, [&](int64_t task) {
      const int64_t first = task % per_image * step;
      const DepthwiseJob part = job(o, task / per_image, first, std::min(filters, first + step));
      kernels_.depthwise(part);
      const int64_t pixels = part.out_h * part.out_w;
      kernels_.smooth_activation(
          {epilogue_.smooth, part.y + first * pixels, 1, 0, (part.last - first) * pixels});
    });
  }

  size_t packed_bytes() const override { return weight_.size() * sizeof(float); }

 private:
  DepthwiseJob job(const Operands& o, int64_t image, int64_t first, int64_t last) const {
    DepthwiseJob job;
    job.in_h = o.in_h;
    job.in_w = o.in_w;
    job.out_h = params_.out_h(o.in_h);
    job.out_w = params_.out_w(o.in_w);
    if (params_.kernel_h == 1 && params_.kernel_w == 1 && params_.stride_h == 1 &&
        params_.stride_w == 1 && job.out_h == o.in_h && job.out_w == o.in_w &&
        params_.pad_top == 0 && params_.pad_left == 0) {
      // One long row: no vector ends with each row of the map.
      job.in_w = job.out_w = o.in_h * o.in_w;
      job.in_h = job.out_h = 1;
    }
    const int64_t out_image = image * params_.filters * job.out_h * job.out_w;
    job.x = o.x + image * params_.channels() * o.in_h * o.in_w;
    job.residual = o.residual ? o.residual + out_image : nullptr;
    job.y = o.y + out_image;
    job.weight = weight_.data();
    job.bias = bias_.data();
    job.first = first;
    job.last = last;
    job.multiplier = params_.filters / params_.groups;
    job.kernel_h = params_.kernel_h;
    job.kernel_w = params_.kernel_w;
    job.stride_h = params_.stride_h;
    job.stride_w = params_.stride_w;
    job.dilation_h = params_.dilation_h;
    job.dilation_w = params_.dilation_w;
    job.pad_top = params_.pad_top;
    job.pad_left = params_.pad_left;
    job.cached_floats = floats_in(kernels_.tuning.depthwise_first_level, caches().data);
    job.epilogue = epilogue_;
    return job;
  }

  ConvParams params_;
  Epilogue epilogue_;
  const KernelTable& kernels_;
  std::vector<float> weight_, bias_;
};

}  // namespace

std::unique_ptr<Conv> make_depthwise(const ConvParams& params, const Weight& weight,
                                     const float* bias, const Epilogue& epilogue,
                                     const KernelTable& kernels, std::string* error) {
  *error = check_params(params);
  if (error->empty() && weight.indices) *error = "depthwise convolution takes a dense weight";
  if (error->empty()) *error = check_weight(params, weight);
  if (error->empty() && params.channels_per_group != 1) {
    *error = "depthwise convolution needs one channel per group, the weight has " +
             std::to_string(params.channels_per_group) + "; use SparseConv or Conv";
  }
  if (!error->empty()) return nullptr;
  return std::make_unique<Depthwise>(params, weight, bias, epilogue, kernels);
}

}  // namespace sparsepass
