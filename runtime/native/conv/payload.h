// Checks of everything a model file can get wrong in a convolution's attributes and weight.
#ifndef SPARSEPASS_CONV_PAYLOAD_H_
#define SPARSEPASS_CONV_PAYLOAD_H_

#include <cstdint>
#include <string>

#include "conv/conv.h"

namespace sparsepass {

// Empty, or what is wrong with the attributes: positive sizes, strides and dilations, pads that are
// not negative, groups that divide, products that fit.
std::string check_params(const ConvParams& params);

// Empty, or what is wrong with the weight: as many values as the shape says, or flat indices that
// rise strictly and stay inside it.
std::string check_weight(const ConvParams& params, const Weight& weight);

// Empty, or why these cannot make a convolution with a dense weight.
std::string check_dense(const ConvParams& params, const Weight& weight);

// Empty, or what is wrong with an input of this shape.
std::string check_input(const ConvParams& params, int64_t batch, int64_t channels, int64_t in_h,
                        int64_t in_w);

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_PAYLOAD_H_
