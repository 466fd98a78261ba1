// The nodes of our ops: kernels as ONNX Runtime makes and runs them.
#ifndef SPARSEPASS_ORT_KERNELS_H_
#define SPARSEPASS_ORT_KERNELS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "conv/conv.h"
#include "ort/abi.h"
#include "ort/activations.h"
#include "ort/host.h"

namespace sparsepass {

// How a convolution takes its weight: one tensor, or values and flat indices.
enum class WeightForm { dense, sparse };

// The algorithm of a convolution, as a row of ops.inc has it.
struct Algorithm {
  ConvFactory* factory;
  WeightForm form;
};

class Kernel;

// One registered op.
struct Op : ort::CustomOp {
  std::string full_name;
  std::vector<int> input_types;
  const KernelTable* kernels;
  Kernel* (*create)(const Op& op, const ort::Api& api, const ort::KernelInfo* info);
  void (*infer)(const Op& op, const ort::Api& api, ort::ShapeInferContext* context);
  // Ops of one map only.
  void (*infer_map)(const ort::Api& api, ort::ShapeInferContext* context);
  // Convolutions only.
  Algorithm algorithm;
  const Activation* activation;
  bool residual;

  bool sparse() const { return algorithm.form == WeightForm::sparse; }
  // Inputs of a convolution's weight and bias.
  size_t payload_inputs() const { return sparse() ? 3 : 2; }
};

// A node of the graph, ready to run.
class Kernel {
 public:
  Kernel(const Op& op, const ort::Api& api, const ort::KernelInfo* info);
  virtual ~Kernel() = default;

  virtual void compute(ort::KernelContext* context) const = 0;

  const ort::Api& api() const { return api_; }
  const std::string& name() const { return name_; }

 protected:
  const Op& op() const { return op_; }
  const ort::MemoryInfo* memory_info() const { return memory_info_.get(); }
  SessionThreads* threads() const { return threads_.get(); }

  // An input's data; `dims` gets its shape.
  const float* input(ort::KernelContext* context, size_t index, std::vector<int64_t>* dims) const;
  // The memory of the output, which has this shape.
  float* output(ort::KernelContext* context, const std::vector<int64_t>& dims) const;

 private:
  const ort::Api& api_;
  const Op& op_;
  std::string name_;
  std::unique_ptr<ort::MemoryInfo, void(SP_ORT_CALL*)(ort::MemoryInfo*)> memory_info_;
  std::shared_ptr<SessionThreads> threads_;
};

// What makes the kernel of a node; each throws OrtError where the node cannot be computed.
Kernel* create_conv(const Op& op, const ort::Api& api, const ort::KernelInfo* info);
Kernel* create_pair(const Op& op, const ort::Api& api, const ort::KernelInfo* info);
Kernel* create_lrn(const Op& op, const ort::Api& api, const ort::KernelInfo* info);
Kernel* create_largest(const Op& op, const ort::Api& api, const ort::KernelInfo* info);
Kernel* create_max_pool(const Op& op, const ort::Api& api, const ort::KernelInfo* info);

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_KERNELS_H_
