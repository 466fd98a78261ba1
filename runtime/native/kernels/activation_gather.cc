// Any convolution over an encoded input, one output pixel after the other: its sums stay in
// registers while the runs of input pixels under it are read.
#include "base/tuning.h"
#include "kernels/activation_reader.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

constexpr int64_t kMostVectors = tuning.gather_vectors;

// As few blocks as kMostVectors allows, evenly filled.
int64_t activation_gather_block(int64_t filters) {
  const int64_t vectors = (filters + kLanes - 1) / kLanes;
  const int64_t blocks = (vectors + kMostVectors - 1) / kMostVectors;
  return (vectors + blocks - 1) / blocks * kLanes;
}

template <int kVectors, bool kGrouped>
static inline void gather_pixel(const WalkJob& job, const EncodedChunk& chunk, int64_t y, int64_t x,
                                vf* sums) {
  const ConvParams& s = *job.params;
  const int64_t runs = s.dilation_w == 1 ? 1 : s.kernel_w, width = s.kernel_w / runs;
  const int64_t run_floats = width * job.chunk_channels * (kVectors * kLanes);
  for (int64_t r = 0; r < s.kernel_h; ++r) {
    const int64_t i = y * s.stride_h - s.pad_top + r * s.dilation_h;
    if (i < 0 || i >= job.in_h) continue;
    for (int64_t run = 0; run < runs; ++run) {
      const int64_t left = x * s.stride_w - s.pad_left + run * s.dilation_w;
      const int64_t first = left < 0 ? 0 : left;
      const int64_t last = left + width > job.in_w ? job.in_w : left + width;
      if (first >= last) continue;
      const float* weight =
          job.weight + chunk.number * job.weight_stride + (r * runs + run) * run_floats;
      const int64_t row = i * job.in_w;
      for_each_nonzero<kGrouped>(chunk, row + first, row + last,
                                 static_cast<uint32_t>((row + left) * job.chunk_channels),
                                 [&](float value, uint64_t at) {
                                   const vf v = splat(value);
                                   const float* w = weight + at * (kVectors * kLanes);
                                   for (int k = 0; k < kVectors; ++k)
                                     sums[k] = fma(v, load(w + k * kLanes), sums[k]);
                                 });
    }
  }
}

template <int kVectors, bool kGrouped>
static void gather_chunk(const WalkJob& job, const EncodedChunk& chunk) {
  int64_t y = job.first_pixel / job.out_w, x = job.first_pixel % job.out_w;
  float* out = job.sums;
  Fetch fetch(job.weight + (chunk.number + 1) * job.weight_stride, job.weight_stride, job.pixels);
  for (int64_t p = 0; p < job.pixels; ++p, out += kVectors * kLanes) {
    fetch.step();
    vf sums[kVectors];
    for (int k = 0; k < kVectors; ++k) sums[k] = load(out + k * kLanes);
    gather_pixel<kVectors, kGrouped>(job, chunk, y, x, sums);
    for (int k = 0; k < kVectors; ++k) store(out + k * kLanes, sums[k]);
    if (++x == job.out_w) {
      x = 0;
      ++y;
    }
  }
}

template <int kVectors, bool kGrouped>
static void gather_block(const WalkJob& job) {
  for (int64_t p = 0; p < job.pixels; ++p) {
    for (int k = 0; k < kVectors; ++k) {
      store(job.sums + (p * kVectors + k) * kLanes, load(job.bias + k * kLanes));
    }
  }
  for (int64_t c = 0; c < job.chunks; ++c) gather_chunk<kVectors, kGrouped>(job, job.chunk[c]);
}

template <bool kGrouped>
static void gather(const WalkJob& job) {
  static constexpr WalkKernel* kBlocks[kMostVectors] = {
      gather_block<1, kGrouped>, gather_block<2, kGrouped>, gather_block<3, kGrouped>,
      gather_block<4, kGrouped>, gather_block<5, kGrouped>, gather_block<6, kGrouped>,
      gather_block<7, kGrouped>, gather_block<8, kGrouped>};
  static_assert(kMostVectors == 8, "a block for each number of vectors");
  kBlocks[job.block / kLanes - 1](job);
}

void cpo_gather(const WalkJob& job) { gather<false>(job); }
void cps_gather(const WalkJob& job) { gather<true>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
