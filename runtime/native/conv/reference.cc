// The convolution as its definition reads, in double precision: the oracle of the tests.
#include <algorithm>
#include <cmath>
#include <vector>

#include "conv/algorithms.h"
#include "conv/payload.h"

namespace sparsepass {
namespace {

class Reference : public Conv {
 public:
  Reference(const ConvParams& params, const Weight& weight, const float* bias,
            const Epilogue& epilogue)
      : params_(params), epilogue_(epilogue), bias_(bias, bias + params.filters) {
    weight_.assign(params.filters * params.taps(), 0.0f);
    for (int64_t i = 0; i < weight.count; ++i) {
      weight_[weight.indices ? weight.indices[i] : i] = weight.values[i];
    }
  }

  void run(const Operands& o, Host&) const override {
    const int64_t out_h = params_.out_h(o.in_h), out_w = params_.out_w(o.in_w);
    int64_t at = 0;
    for (int64_t n = 0; n < o.batch; ++n) {
      const float* image = o.x + n * params_.channels() * o.in_h * o.in_w;
      for (int64_t k = 0; k < params_.filters; ++k) {
        for (int64_t y = 0; y < out_h; ++y) {
          for (int64_t x = 0; x < out_w; ++x, ++at) {
            double value = bias_[k] + dot(image, o.in_h, o.in_w, k, y, x);
            if (o.residual) value += o.residual[at];
            o.y[at] = static_cast<float>(activated(value));
          }
        }
      }
    }
  }

  size_t packed_bytes() const override { return weight_.size() * sizeof(float); }

 private:
  double dot(const float* image, int64_t in_h, int64_t in_w, int64_t k, int64_t y,
             int64_t x) const {
    const ConvParams& p = params_;
    const int64_t first = k / (p.filters / p.groups) * p.channels_per_group;
    const float* weight = &weight_[k * p.taps()];
    double sum = 0;
    for (int64_t c = 0; c < p.channels_per_group; ++c) {
      for (int64_t kh = 0; kh < p.kernel_h; ++kh) {
        for (int64_t kw = 0; kw < p.kernel_w; ++kw, ++weight) {
          const int64_t row = y * p.stride_h + kh * p.dilation_h - p.pad_top;
          const int64_t column = x * p.stride_w + kw * p.dilation_w - p.pad_left;
          if (row < 0 || row >= in_h || column < 0 || column >= in_w) continue;
          sum += static_cast<double>(*weight) * image[((first + c) * in_h + row) * in_w + column];
        }
      }
    }
    return sum;
  }

  double activated(double sum) const {
    const double low = epilogue_.low, high = epilogue_.high;
    const double v = clamp(leaky<double>(sum, epilogue_.slope), low, high);
    switch (epilogue_.smooth) {
      case SmoothActivation::hard_swish:
        return v * std::min(std::max(v / 6 + 0.5, 0.0), 1.0);
      case SmoothActivation::silu:
        return v / (1 + std::exp(-v));
      default:
        return v;
    }
  }

  ConvParams params_;
  Epilogue epilogue_;
  std::vector<float> weight_, bias_;
};

}  // namespace

std::unique_ptr<Conv> make_reference(const ConvParams& params, const Weight& weight,
                                     const float* bias, const Epilogue& epilogue,
                                     const KernelTable&, std::string* error) {
  *error = check_params(params);
  if (error->empty()) *error = check_weight(params, weight);
  if (!error->empty()) return nullptr;
  return std::make_unique<Reference>(params, weight, bias, epilogue);
}

}  // namespace sparsepass
