// Signatures of the micro-kernels of the activation-sparse convolutions CPO and CPS.
//
// Channels are taken in chunks.  A position of a chunk is pixel * chunk_channels + channel; a word
// of the encoding holds a position, or a group of kGroup positions, modulo 2^16.  An output pixel
// reads runs of adjacent input pixels, so the distance from the first position of a run is exact.
#ifndef SPARSEPASS_KERNELS_ACTIVATION_KERNEL_H_
#define SPARSEPASS_KERNELS_ACTIVATION_KERNEL_H_

#include <cstdint>

#include "base/convolution.h"
#include "base/epilogue.h"
#include "base/tuning.h"

namespace sparsepass {

// Adjacent channels of one pixel that share a word of the CPS encoding.
constexpr int64_t kGroup = 16;

// Channels of a chunk at most, where chunks are merged.
constexpr int64_t kMostEncodedChannels = Tuning::chunk_channels * Tuning::merged_chunks;

// Entries that an encoder may overwrite past the end of each array of a chunk.
constexpr int64_t kEncodingSlack = 16;

// One chunk of an encoded image.  Pixel p owns values [value_start[p], value_start[p + 1]) and,
// with CPS, groups [group_start[p], group_start[p + 1]).
struct EncodedChunk {
  int64_t number;  // of the chunk in its group of the convolution
  float* values;
  uint32_t* value_start;
  uint16_t* index;        // CPO: the position of each value
  uint32_t* groups;       // CPS: number of the group above, mask of its non-zeros in the low half
  uint32_t* group_start;  // CPS
};

// Encodes `channels` planes of `pixels` values as one chunk of chunk_channels.
struct EncodeJob {
  const float* x;
  int64_t channels, pixels, chunk_channels;
  EncodedChunk out;
};
using EncodeKernel = void(const EncodeJob& job);

// sums[p][f] = bias[f] + the contribution of all chunks, for `pixels` output pixels from
// first_pixel on and the filters of one block; the weight of chunk n is at
// weight + n * weight_stride.
struct WalkJob {
  const ConvParams* params;
  int64_t in_h, in_w, out_w;
  const EncodedChunk* chunk;
  int64_t chunks, chunk_channels;
  const float* weight;
  int64_t weight_stride;
  const float* bias;
  float* sums;
  int64_t first_pixel, pixels, block;
};

// A gather reads (kernel_h, kernel_w, chunk_channels, block) weights.  A sweep does 3x3 kernels of
// stride and dilation 1, whole output rows, and reads (chunk_channels, 3, 3, block).
using WalkKernel = void(const WalkJob& job);

// The floats in a block when `filters` filters are divided into blocks, for the two ways to walk.
using BlockSizeKernel = int64_t(int64_t filters);

// y[f * plane + p] = epilogue(sums[p * block + f] (+ residual)) for pixels p and filters f.
struct FinishJob {
  const float* sums;
  const float* residual;  // null: none; laid out as y
  float* y;
  int64_t pixels, plane, filters, block;
  Epilogue epilogue;
};
using FinishKernel = void(const FinishJob& job);

// How many of `count` values are not zero.
using CountNonzerosKernel = int64_t(const float* x, int64_t count);

}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_ACTIVATION_KERNEL_H_
