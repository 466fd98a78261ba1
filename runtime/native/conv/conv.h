// The interface that every algorithm of a 2-D convolution implements, and its operands.
//
// Nothing here knows ONNX Runtime.  ort/kernels.cc turns tensors into these structs,
// testing/entry.cc turns arrays from the tests into them.
#ifndef SPARSEPASS_CONV_CONV_H_
#define SPARSEPASS_CONV_CONV_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/convolution.h"
#include "base/epilogue.h"

namespace sparsepass {

// x is (batch, channels, in_h, in_w), y and residual (batch, filters, out_h, out_w), all NCHW and
// float32; residual may be null, and y itself for the weight-sparse algorithms.  Sizes are those
// the kernel's ConvParams give, batch is at least 1.
struct Operands {
  const float* x;
  const float* residual;
  float* y;
  int64_t batch, in_h, in_w;
  bool is_declared;  // all runs have this size of map
};

// Images [first, end) of a batch.
inline Operands images_of(const Operands& operands, const ConvParams& params, int64_t first,
                          int64_t end) {
  const int64_t outputs =
      params.filters * params.out_h(operands.in_h) * params.out_w(operands.in_w);
  Operands images = operands;
  images.batch = end - first;
  images.x += first * params.channels() * operands.in_h * operands.in_w;
  images.y += first * outputs;
  if (images.residual) images.residual += first * outputs;
  return images;
}

// What a kernel may ask of its host during one run.
class Host {
 public:
  virtual ~Host() = default;
  // Runs task(0) .. task(count - 1), possibly at the same time, and returns when all are done.
  virtual void parallel_for(int64_t count, const std::function<void(int64_t)>& task) = 0;
  virtual int threads() const = 0;
  // Whether the cores of all threads share a last-level cache, as far as it is known.  Where they
  // do not, outputs are flushed before they are written (base/cache_lines.h).
  virtual bool shares_cache() const = 0;
  // Memory of this run, aligned to 64 bytes, kept until the run ends; throws std::bad_alloc.
  virtual void* scratch(size_t bytes) = 0;
};

// A convolution prepared for one weight.  Immutable after creation: run() is called from several
// threads at once.
class Conv {
 public:
  virtual ~Conv() = default;
  virtual void run(const Operands& operands, Host& host) const = 0;
  // Bytes the packed weight takes.
  virtual size_t packed_bytes() const = 0;
};

// The weight as the file holds it: dense (filters, channels_per_group, kernel_h, kernel_w), or
// `count` values with their flat indices into that shape.  The arrays outlive the Conv made of
// them.
struct Weight {
  const float* values;
  const int32_t* indices;  // null: dense
  int64_t count;
};

struct KernelTable;

// Builds one algorithm.  Returns null and fills `error` with one clear line when the payload or the
// shape cannot be used.  `bias` has params.filters entries.
using ConvFactory = std::unique_ptr<Conv>(const ConvParams& params, const Weight& weight,
                                          const float* bias, const Epilogue& epilogue,
                                          const KernelTable& kernels, std::string* error);

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_CONV_H_
