// Checks of everything a model file can get wrong in a convolution's attributes and weight.
#ifndef SPARSEPASS_PAYLOAD_H_
#define SPARSEPASS_PAYLOAD_H_

#include <cstdint>
#include <string>

#include "conv.h"

namespace sparsepass {

// Sets `*product` and returns true, or returns false where a * b does not fit or is negative.
inline bool multiply(int64_t a, int64_t b, int64_t* product) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, product);
}

// Empty, or what is wrong with the attributes: positive sizes, strides and dilations, pads that are
// not negative, groups that divide, products that fit.
std::string check_params(const ConvParams& params);

// Empty, or what is wrong with the weight: as many values as the shape says, or flat indices that
// rise strictly and stay inside it.
std::string check_weight(const ConvParams& params, const Weight& weight);

// Empty, or what is wrong with an input of this shape.
std::string check_input(const ConvParams& params, int64_t batch, int64_t channels, int64_t in_h,
                        int64_t in_w);

}  // namespace sparsepass

#endif  // SPARSEPASS_PAYLOAD_H_
