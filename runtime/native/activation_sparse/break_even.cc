#include "activation_sparse/break_even.h"

#include <algorithm>
#include <cmath>

#include "activation_sparse/encoded_input.h"

namespace sparsepass {

bool is_swept(const ConvParams& p) {
  return p.kernel_h == 3 && p.kernel_w == 3 && p.stride_h == 1 && p.stride_w == 1 &&
         p.dilation_h == 1 && p.dilation_w == 1;
}

// Counted in vector multiply-adds for one output pixel and one vector of filters, of which the
// dense path needs one for each tap.  sparsepass/algorithms/activation_sparse.py does the same.
double break_even_density(const ConvParams& params, const Tuning& tuning) {
  constexpr double kLanes = 16;
  const bool swept = is_swept(params);
  const Chunking chunking(params.groups, params.channels_per_group);
  const double filters = params.filters / params.groups, vectors = std::ceil(filters / kLanes);
  const double taps = params.taps(), kernel = params.kernel_h * params.kernel_w;
  const double block = std::min<double>(vectors, tuning.gather_vectors);
  const double tile_bytes = 4 * kernel * chunking.channels() * block * kLanes;
  const double encode = tuning.encode_multiplies * params.channels_per_group * params.stride_h *
                        params.stride_w / filters;
  const double visit = swept ? tuning.sweep_visit_multiplies : tuning.gather_visit_multiplies;
  const double dense = taps * filters / (vectors * kLanes);
  const double nonzero = swept                                   ? tuning.sweep_weight_multiplies
                         : tile_bytes > tuning.near_weight_bytes ? tuning.far_weight_multiplies
                                                                 : tuning.near_weight_multiplies;
  const double rest = dense - tuning.finish_multiplies - visit * chunking.per_group() - encode;
  return std::max(0.0, rest / (nonzero * taps));
}

}  // namespace sparsepass
