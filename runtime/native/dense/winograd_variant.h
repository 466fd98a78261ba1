// The variants of Winograd convolution, and what a layer is in the terms of one.
#ifndef SPARSEPASS_DENSE_WINOGRAD_VARIANT_H_
#define SPARSEPASS_DENSE_WINOGRAD_VARIANT_H_

#include <cstdint>
#include <initializer_list>

#include "base/convolution.h"
#include "kernels/table.h"
#include "kernels/winograd_kernel.h"

namespace sparsepass {

// F(m x m, taps x taps) by the finite interpolation points in the order of the kernels, and
// infinity.
struct WinogradVariant {
  int64_t m, taps;
  double points[6];
  WinogradInputKernel* KernelTable::* input;
  WinogradOutputKernel* KernelTable::* output;

  int64_t tile() const { return m + taps - 1; }
  int64_t positions() const { return tile() * tile(); }
  // Element (row, tap) of G: for the finite point p, p^tap over the product of p's distances to the
  // other points.
  double transform(int64_t row, int64_t tap) const;
};

extern const WinogradVariant kF23, kF42, kF43, kF44;

// The variant among `variants` for the taps that a phase of the kernel has; null where none fits.
// The shape has been checked.
const WinogradVariant* variant_for(const ConvParams& params,
                                   std::initializer_list<const WinogradVariant*> variants);

struct WinogradLayer {
  WinogradLayer(const WinogradVariant& variant, const ConvParams& params,
                const KernelTable& kernels);

  const WinogradVariant& variant;
  ConvParams params;
  const Tuning& tuning;
  int64_t lanes, stride;
  int64_t channels, filters;  // of one group; every phase is a channel
  bool few_channels;          // the transformed input leaves most of the cache to the sums
  int64_t pass_filters;       // most that are multiplied before their sums are transformed back
};

}  // namespace sparsepass

#endif  // SPARSEPASS_DENSE_WINOGRAD_VARIANT_H_
