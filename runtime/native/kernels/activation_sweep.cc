// The 3x3 convolution of stride 1 over an encoded input, one input pixel after the other.
//
// A non-zero is multiplied with its nine weights at once, which lie next to each other.  The sums
// of the nine output pixels around it stay in registers: a step along the row stores one column of
// three and loads another.  Weights of one chunk and one vector of filters about fill the
// first-level cache; those of the next chunk are fetched meanwhile.
#include "kernels/activation_reader.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {

int64_t activation_sweep_block(int64_t) { return kLanes; }

// Where a sweep stands: the next pixel, and the weights to fetch at each.
struct Sweep {
  const EncodedChunk* chunk;
  const float* weight;
  int64_t pixel, chunk_channels;
  Fetch fetch;
};

static inline void step(Sweep* sweep) {
  sweep->fetch.step();
  ++sweep->pixel;
}

// Adds the values of the next pixel to the sums of kRows rows and kColumns columns of the kernel.
template <bool kGrouped, int kRows, int kColumns>
static inline void visit(Sweep* sweep, int64_t first_column, vf (*sums)[kColumns]) {
  const float* weight = sweep->weight + first_column * kLanes;
  for_each_nonzero<kGrouped>(*sweep->chunk, sweep->pixel, sweep->pixel + 1,
                             static_cast<uint32_t>(sweep->pixel * sweep->chunk_channels),
                             [&](float value, uint64_t at) {
                               const vf v = splat(value);
                               const float* w = weight + at * (9 * kLanes);
                               for (int r = 0; r < kRows; ++r) {
                                 for (int s = 0; s < kColumns; ++s) {
                                   sums[r][s] = fma(v, load(w + (r * 3 + s) * kLanes), sums[r][s]);
                                 }
                               }
                             });
  step(sweep);
}

// One pixel that only kColumns columns of the kernel see; `out` is the output under the first.
template <bool kGrouped, int kRows, int kColumns>
static inline void visit_edge(Sweep* sweep, int64_t first_column, float* out, int64_t pitch) {
  vf sums[kRows][kColumns];
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) sums[r][s] = load(out - r * pitch - s * kLanes);
  }
  visit<kGrouped, kRows, kColumns>(sweep, first_column, sums);
  for (int r = 0; r < kRows; ++r) {
    for (int s = 0; s < kColumns; ++s) store(out - r * pitch - s * kLanes, sums[r][s]);
  }
}

// `pixels` pixels that all columns of the kernel see.
template <bool kGrouped, int kRows>
static inline void visit_inner(Sweep* sweep, int64_t pixels, float* out, int64_t pitch) {
  vf sums[kRows][3];
  for (int r = 0; r < kRows; ++r) {
    sums[r][2] = load(out - r * pitch - 2 * kLanes);
    sums[r][1] = load(out - r * pitch - 1 * kLanes);
  }
  for (const float* end = out + pixels * kLanes; out != end; out += kLanes) {
    for (int r = 0; r < kRows; ++r) sums[r][0] = load(out - r * pitch);
    visit<kGrouped, kRows, 3>(sweep, 0, sums);
    for (int r = 0; r < kRows; ++r) {
      store(out - r * pitch - 2 * kLanes, sums[r][2]);
      sums[r][2] = sums[r][1];
      sums[r][1] = sums[r][0];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    store(out - r * pitch - 2 * kLanes, sums[r][2]);
    store(out - r * pitch - 1 * kLanes, sums[r][1]);
  }
}

// One input row for kRows rows of the kernel; `out` is the output row under the first of them.
template <bool kGrouped, int kRows>
static void sweep_row(const WalkJob& job, Sweep* sweep, float* out) {
  const int64_t pitch = job.out_w * kLanes;
  for (int64_t j = 0; j < job.in_w;) {
    // Columns [first, first + columns) of the kernel see pixel j from outputs that exist.
    const int64_t x = j + job.params->pad_left;
    const int64_t first = x < job.out_w ? 0 : x - job.out_w + 1;
    const int64_t columns = (x < 2 ? x + 1 : 3) - first;
    float* under = out + (x - first) * kLanes;
    int64_t pixels = 1;
    if (columns == 3) {
      pixels = job.out_w - x < job.in_w - j ? job.out_w - x : job.in_w - j;
      visit_inner<kGrouped, kRows>(sweep, pixels, under, pitch);
    } else if (columns == 2) {
      visit_edge<kGrouped, kRows, 2>(sweep, first, under, pitch);
    } else if (columns == 1) {
      visit_edge<kGrouped, kRows, 1>(sweep, first, under, pitch);
    } else {
      step(sweep);
    }
    j += pixels;
  }
}

template <bool kGrouped>
static void sweep_chunk(const WalkJob& job, const EncodedChunk& chunk) {
  const float* weight = job.weight + chunk.number * job.weight_stride;
  Sweep sweep = {&chunk, weight, 0, job.chunk_channels,
                 Fetch(weight + job.weight_stride, job.weight_stride, job.in_h * job.in_w)};
  const int64_t first = job.first_pixel / job.out_w, last = first + job.pixels / job.out_w - 1;
  for (int64_t i = 0; i < job.in_h; ++i) {
    // Row r of the kernel sees input row i from output row i + pad_top - r.
    const int64_t below = i + job.params->pad_top;
    const int64_t top = below - 2 < first ? first : below - 2;
    const int64_t bottom = below < last ? below : last;
    if (top > bottom) continue;
    sweep.pixel = i * job.in_w;
    sweep.weight = weight + (below - bottom) * 3 * kLanes;
    float* out = job.sums + (bottom - first) * job.out_w * kLanes;
    if (bottom - top == 2) {
      sweep_row<kGrouped, 3>(job, &sweep, out);
    } else if (bottom - top == 1) {
      sweep_row<kGrouped, 2>(job, &sweep, out);
    } else {
      sweep_row<kGrouped, 1>(job, &sweep, out);
    }
  }
}

template <bool kGrouped>
static void sweep(const WalkJob& job) {
  const vf bias = load(job.bias);
  for (int64_t p = 0; p < job.pixels; ++p) store(job.sums + p * kLanes, bias);
  for (int64_t c = 0; c < job.chunks; ++c) sweep_chunk<kGrouped>(job, job.chunk[c]);
}

void cpo_sweep(const WalkJob& job) { sweep<false>(job); }
void cps_sweep(const WalkJob& job) { sweep<true>(job); }

}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass
