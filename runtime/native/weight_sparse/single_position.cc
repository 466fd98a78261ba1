// Dot products with the whole input, where the output is one position that no padding touches.
#include <algorithm>

#include "weight_sparse/sparse_dot.h"
#include "weight_sparse/spmm_program.h"

namespace sparsepass {
namespace {

class SinglePosition : public SpmmProgram {
 public:
  explicit SinglePosition(const SpmmProblem& problem)
      : layer_(problem.layer), in_size_(layer_.params.channels() * problem.in_h * problem.in_w) {
    const ConvParams& p = layer_.params;
    std::vector<int64_t> offset;
    for (int64_t channel = 0; channel < p.channels(); ++channel) {
      for (int64_t row = 0; row < p.kernel_h; ++row) {
        const int64_t in_row = channel * problem.in_h + row * p.dilation_h;
        for (int64_t column = 0; column < p.kernel_w; ++column) {
          offset.push_back(in_row * problem.in_w + column * p.dilation_w);
        }
      }
    }
    dot_.init(problem.weight.all(), offset, layer_.kernels.tuning);
  }

  size_t bytes() const override { return dot_.bytes(); }
  size_t map_bytes() const override { return 0; }

  // Every task computes some of the outputs.
  void run(const Operands& o, Host& host) const override {
    const int64_t filters = layer_.params.filters;
    const bool parallel = layer_.kept > layer_.kernels.tuning.parallel_products;
    const int64_t tasks = parallel ? std::min<int64_t>(filters, 2 * host.threads()) : 1;
    // The output may lie where the residual is.
    float* sums = static_cast<float*>(host.scratch(filters * sizeof(float)));
    for (int64_t image = 0; image < o.batch; ++image) {
      host.parallel_for(tasks, [&](int64_t t) {
        const int64_t first = t * filters / tasks, last = (t + 1) * filters / tasks;
        std::copy(layer_.bias.begin() + first, layer_.bias.begin() + last, sums + first);
        dot_.add_products(o.x + image * in_size_, first, last, sums, layer_.kernels);
        finish(o, image * filters, first, last, sums);
      });
    }
  }

 private:
  // Writes outputs [first, last) of the image that begins at `image`.
  void finish(const Operands& o, int64_t image, int64_t first, int64_t last,
              const float* sums) const {
    const Epilogue& e = layer_.epilogue;
    for (int64_t f = first; f < last; ++f) {
      const float sum = o.residual ? sums[f] + o.residual[image + f] : sums[f];
      o.y[image + f] = clamp(leaky(sum, e.slope), e.low, e.high);
    }
    layer_.kernels.smooth_activation({e.smooth, o.y + image + first, 1, 0, last - first});
  }

  const SpmmLayer& layer_;
  int64_t in_size_;
  SparseDot dot_;
};

}  // namespace

bool is_single_position(const SpmmSize& size) {
  return size.positions() == 1 && !size.packing().is_padded();
}

std::unique_ptr<SpmmProgram> single_position(const SpmmProblem& problem) {
  return is_single_position(problem) ? std::make_unique<SinglePosition>(problem) : nullptr;
}

}  // namespace sparsepass
