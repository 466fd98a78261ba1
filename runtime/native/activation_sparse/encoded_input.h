// The encoding of an input by its non-zeros, made while the network runs (CPO and CPS, arXiv
// 2104.08314).
//
// It is channel-innermost: the non-zeros that all channels of a chunk have at one pixel are
// neighbours, and so are those of adjacent pixels.  Each is stored once; windows that overlap,
// vertically or horizontally, read the same entries.  A chunk of all-zero channels is skipped.
#ifndef SPARSEPASS_ACTIVATION_SPARSE_ENCODED_INPUT_H_
#define SPARSEPASS_ACTIVATION_SPARSE_ENCODED_INPUT_H_

#include <cstdint>
#include <vector>

#include "conv/conv.h"
#include "kernels/table.h"

namespace sparsepass {

// What differs between CPO and CPS.
struct Encoding {
  bool grouped;  // one index word for a group of positions instead of one for each value
  EncodeKernel* encode;
  WalkKernel* gather;
  WalkKernel* sweep;
};
Encoding cpo_encoding(const KernelTable& kernels);
Encoding cps_encoding(const KernelTable& kernels);

// How the channels of an image are divided into chunks.
class Chunking {
 public:
  Chunking(int64_t groups, int64_t channels_per_group);
  // The same channels in chunks of as many adjacent ones of these.
  Chunking merged(int64_t chunks) const;
  int64_t count() const { return groups_ * per_group_; }
  int64_t per_group() const { return per_group_; }
  int64_t channels() const { return channels_; }
  // First channel of the image that is in `chunk`, and how many there are.
  int64_t first(int64_t chunk) const;
  int64_t width(int64_t chunk) const;

 private:
  int64_t groups_, channels_per_group_, channels_, per_group_;
};

// Memory for the encoding of one image whose chunks have counts[chunk] non-zeros.
int64_t encoding_room(const Encoding& encoding, const Chunking& chunking, const int64_t* counts,
                      int64_t pixels);

// The chunks of that encoding, laid out in `memory`, which is aligned to 64 bytes.
std::vector<EncodedChunk> lay_out(const Encoding& encoding, const Chunking& chunking,
                                  const int64_t* counts, int64_t pixels, char* memory);

}  // namespace sparsepass

#endif  // SPARSEPASS_ACTIVATION_SPARSE_ENCODED_INPUT_H_
