// N:M structure at run time: of every M neighbouring channels of a pixel the N of largest magnitude
// stay, and more where several are equal to the least of these; the others become zero.
#ifndef SPARSEPASS_FEATURE_MAPS_LARGEST_H_
#define SPARSEPASS_FEATURE_MAPS_LARGEST_H_

#include <cstdint>
#include <string>

#include "conv/conv.h"

namespace sparsepass {

struct LargestParams {
  int64_t kept, block;
};

struct LargestShape {
  int64_t batch, channels, pixels;
};

// Empty, or what is wrong with the attributes.
std::string check_largest(const LargestParams& params);

// Empty, or why an input of so many channels cannot be taken.
std::string check_largest_input(const LargestParams& params, int64_t channels);

// x and y are (batch, channels, pixels).
void run_largest(const LargestParams& params, const LargestShape& shape, const float* x, float* y,
                 const KernelTable& kernels, Host& host);

}  // namespace sparsepass

#endif  // SPARSEPASS_FEATURE_MAPS_LARGEST_H_
