// Max pooling of maps in NCHW, as ONNX defines MaxPool with explicit padding.
#ifndef SPARSEPASS_FEATURE_MAPS_POOL_H_
#define SPARSEPASS_FEATURE_MAPS_POOL_H_

#include <cstdint>
#include <string>

#include "base/pooling.h"
#include "conv/conv.h"

namespace sparsepass {

// Empty, or what is wrong with the attributes.
std::string check_pool(const PoolParams& params);

// Empty, or why a map of this size has no output.
std::string check_pool_input(const PoolParams& params, const PoolShape& shape);

// x is (planes, in_h, in_w), y is (planes, out_h, out_w).
void run_max_pool(const PoolParams& params, const PoolShape& shape, const float* x, float* y,
                  const KernelTable& kernels, Host& host);

}  // namespace sparsepass

#endif  // SPARSEPASS_FEATURE_MAPS_POOL_H_
