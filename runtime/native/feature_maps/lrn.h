// Local response normalisation across channels (Krizhevsky et al., 2012), as ONNX defines LRN:
//   y[c] = x[c] / (bias + alpha / size * sum of x[i]^2)^beta,
// where i runs over the `size` channels around c that exist.
#ifndef SPARSEPASS_FEATURE_MAPS_LRN_H_
#define SPARSEPASS_FEATURE_MAPS_LRN_H_

#include <cstdint>
#include <string>

#include "conv/conv.h"

namespace sparsepass {

struct LrnParams {
  int64_t size;
  float alpha, beta, bias;
};

struct LrnShape {
  int64_t batch, channels, pixels;
};

// Empty, or what is wrong with the attributes.
std::string check_lrn(const LrnParams& params);

// x and y are (batch, channels, pixels).
void run_lrn(const LrnParams& params, const LrnShape& shape, const float* x, float* y,
             const KernelTable& kernels, Host& host);

}  // namespace sparsepass

#endif  // SPARSEPASS_FEATURE_MAPS_LRN_H_
