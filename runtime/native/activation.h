// Activation-sparse convolution: the input is encoded while the network runs, and only its
// non-zeros are multiplied (CPO and CPS, arXiv 2104.08314).
//
// The encoding is channel-innermost, so that a pixel's non-zeros of all channels in a chunk are
// neighbours: one output pixel reads kernel_h runs of it and keeps a block of filters in registers.
// Every non-zero is stored once; overlap between windows, vertical or horizontal, costs nothing.
#ifndef SPARSEPASS_ACTIVATION_H_
#define SPARSEPASS_ACTIVATION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "conv.h"
#include "kernels.h"

namespace sparsepass {

ConvFactory make_cpo;  // a value and a 16-bit index for each non-zero
ConvFactory make_cps;  // a value for each non-zero, a 32-bit word for each group that has one

// The part of an encoding that differs between CPO and CPS.
struct Encoding {
  bool grouped;
  EncodeKernel* encode;
  WalkKernel* walk;
};
Encoding cpo_encoding(const KernelTable& kernels);
Encoding cps_encoding(const KernelTable& kernels);

std::unique_ptr<Conv> make_activation_sparse(const Encoding& encoding, const ConvParams& params,
                                             const Weight& weight, const float* bias,
                                             const Epilogue& epilogue, const KernelTable& kernels,
                                             std::string* error);

// What an encoding of `images` images of (channels, pixels) holds.
struct EncodingSize {
  int64_t values;     // float32
  int64_t indices;    // 16-bit positions (CPO) or 32-bit groups (CPS)
  int64_t pointers;   // 32-bit starts
  int64_t bytes;
};
EncodingSize measure_encoding(const Encoding& encoding, const float* x, int64_t images,
                              int64_t channels, int64_t pixels);

}  // namespace sparsepass

#endif  // SPARSEPASS_ACTIVATION_H_
