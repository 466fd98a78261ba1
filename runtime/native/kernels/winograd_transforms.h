// The transforms of Winograd convolution F(m, r) in one dimension, for tiles of m + r - 1 elements.
// For winograd_*.cc alone.
//
// dense/winograd_variant.cc has the interpolation points and says why these.
#ifndef SPARSEPASS_KERNELS_WINOGRAD_TRANSFORMS_H_
#define SPARSEPASS_KERNELS_WINOGRAD_TRANSFORMS_H_

#include "simd/vector.h"

namespace sparsepass {
namespace SPARSEPASS_ISA {
namespace {

// B^T d.
inline void transform_input(const vf (&d)[4], vf (&v)[4]) {
  v[0] = d[2] - d[0];
  v[1] = d[2] + d[1];
  v[2] = d[2] - d[1];
  v[3] = d[3] - d[1];
}

inline void transform_input(const vf (&d)[5], vf (&v)[5]) {
  const vf a = splat(0.5f), aa = splat(0.25f), b = splat(1.25f), bb = splat(1.5625f);
  const vf sum = splat(1.8125f), product = splat(0.390625f);  // aa + bb, aa * bb
  vf odd = d[3] - bb * d[1], even = d[2] - bb * d[0];
  v[0] = odd + a * even;
  v[1] = odd - a * even;
  v[4] = product * d[0] + (d[4] - sum * d[2]);
  odd = d[3] - aa * d[1];
  even = d[2] - aa * d[0];
  v[2] = odd + b * even;
  v[3] = odd - b * even;
}

inline void transform_input(const vf (&d)[6], vf (&v)[6]) {
  const vf a = splat(0.75f), aa = splat(0.5625f), b = splat(1.5f), bb = splat(2.25f);
  const vf sum = splat(2.8125f), product = splat(1.265625f);  // aa + bb, aa * bb
  vf even = d[4] - bb * d[2], odd = d[3] - bb * d[1];
  v[0] = product * d[0] + (d[4] - sum * d[2]);
  v[1] = even + a * odd;
  v[2] = even - a * odd;
  v[5] = product * d[1] + (d[5] - sum * d[3]);
  even = d[4] - aa * d[2];
  odd = d[3] - aa * d[1];
  v[3] = even + b * odd;
  v[4] = even - b * odd;
}

inline void transform_input(const vf (&d)[7], vf (&v)[7]) {
  const vf points[3] = {splat(0.25f), splat(0.875f), splat(1.75f)};
  // Of the squares of the other two points: their sum and their product.
  const vf sums[3] = {splat(3.828125f), splat(3.125f), splat(0.828125f)};
  const vf products[3] = {splat(2.3447265625f), splat(0.19140625f), splat(0.0478515625f)};
  for (int i = 0; i < 3; ++i) {
    vf odd = (d[5] - sums[i] * d[3]) + products[i] * d[1];
    vf even = (d[4] - sums[i] * d[2]) + products[i] * d[0];
    v[2 * i] = odd + points[i] * even;
    v[2 * i + 1] = odd - points[i] * even;
  }
  v[6] = (d[6] - splat(3.890625f) * d[4]) +
         (splat(2.583984375f) * d[2] - splat(0.14654541015625f) * d[0]);
}

// A^T s.
inline void transform_output(const vf (&s)[4], vf (&y)[2]) {
  y[0] = s[0] + (s[1] + s[2]);
  y[1] = s[3] + (s[1] - s[2]);
}

inline void transform_output(const vf (&s)[5], vf (&y)[4]) {
  const vf a = splat(0.5f), aa = splat(0.25f), aaa = splat(0.125f);
  const vf b = splat(1.25f), bb = splat(1.5625f), bbb = splat(1.953125f);
  vf even = s[0] + s[1], odd = s[0] - s[1];
  vf even_b = s[2] + s[3], odd_b = s[2] - s[3];
  y[0] = even + even_b;
  y[1] = a * odd + b * odd_b;
  y[2] = aa * even + bb * even_b;
  y[3] = aaa * odd + (bbb * odd_b + s[4]);
}

inline void transform_output(const vf (&s)[6], vf (&y)[4]) {
  const vf a = splat(0.75f), aa = splat(0.5625f), aaa = splat(0.421875f);
  const vf b = splat(1.5f), bb = splat(2.25f), bbb = splat(3.375f);
  vf even = s[1] + s[2], odd = s[1] - s[2];
  vf even_b = s[3] + s[4], odd_b = s[3] - s[4];
  y[0] = s[0] + (even + even_b);
  y[1] = a * odd + b * odd_b;
  y[2] = aa * even + bb * even_b;
  y[3] = aaa * odd + (bbb * odd_b + s[5]);
}

inline void transform_output(const vf (&s)[7], vf (&y)[4]) {
  const vf a = splat(0.25f), aa = splat(0.0625f), aaa = splat(0.015625f);
  const vf b = splat(0.875f), bb = splat(0.765625f), bbb = splat(0.669921875f);
  const vf c = splat(1.75f), cc = splat(3.0625f), ccc = splat(5.359375f);
  vf even_a = s[0] + s[1], odd_a = s[0] - s[1];
  vf even_b = s[2] + s[3], odd_b = s[2] - s[3];
  vf even_c = s[4] + s[5], odd_c = s[4] - s[5];
  y[0] = even_a + (even_b + even_c);
  y[1] = a * odd_a + (b * odd_b + c * odd_c);
  y[2] = aa * even_a + (bb * even_b + cc * even_c);
  y[3] = aaa * odd_a + (bbb * odd_b + (ccc * odd_c + s[6]));
}

}  // namespace
}  // namespace SPARSEPASS_ISA
}  // namespace sparsepass

#endif  // SPARSEPASS_KERNELS_WINOGRAD_TRANSFORMS_H_
