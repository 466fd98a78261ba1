// One 2-D convolution: its shape, its operands, and the interface every algorithm implements.
//
// Nothing here knows ONNX Runtime.  ort_kernels.cc turns tensors into these structs, test_entry.cc
// turns arrays from the tests into them.
#ifndef SPARSEPASS_CONV_H_
#define SPARSEPASS_CONV_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sparsepass {

// Attributes of the convolution; pads are resolved (never auto_pad).
struct ConvParams {
  int64_t filters, channels_per_group, groups;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t dilation_h, dilation_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;

  int64_t channels() const { return channels_per_group * groups; }
  int64_t taps() const { return channels_per_group * kernel_h * kernel_w; }
  int64_t out_h(int64_t in_h) const {
    return (in_h + pad_top + pad_bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1;
  }
  int64_t out_w(int64_t in_w) const {
    return (in_w + pad_left + pad_right - dilation_w * (kernel_w - 1) - 1) / stride_w + 1;
  }
};

// Activations that are no clamp: v * clamp(v / 6 + 1 / 2, 0, 1), and v / (1 + e^-v).
enum class Curve : int32_t { none, hard_swish, silu };

// Most activations are a clamp after a leaky slope: y = clamp(v >= 0 ? v : slope * v, low, high).
// Identity has slope 1 and infinite bounds, Relu slope 1 and low 0.  A curve comes last.
struct Epilogue {
  float slope, low, high;
  Curve curve;
};

// x is (batch, channels, in_h, in_w), y and residual (batch, filters, out_h, out_w), all NCHW and
// float32; residual may be null, and y itself for the weight-sparse algorithms.  Sizes are those
// the kernel's ConvParams give, batch is at least 1.
struct Operands {
  const float* x;
  const float* residual;
  float* y;
  int64_t batch, in_h, in_w;
};

// What a kernel may ask of its host during one run.
class Host {
 public:
  virtual ~Host() = default;
  // Runs task(0) .. task(count - 1), possibly at the same time, and returns when all are done.
  virtual void parallel_for(int64_t count, const std::function<void(int64_t)>& task) = 0;
  virtual int threads() const = 0;
  // Whether threads run on cores that share no cache, as far as it is known (cache_lines.h).
  virtual bool apart() const = 0;
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

#endif  // SPARSEPASS_CONV_H_
