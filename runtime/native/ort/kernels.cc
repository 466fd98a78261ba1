#include "ort/kernels.h"

#include <memory>
#include <string>
#include <vector>

#include "conv/payload.h"
#include "feature_maps/largest.h"
#include "feature_maps/lrn.h"
#include "feature_maps/pool.h"
#include "kernels/table.h"
#include "ort/error.h"
#include "ort/node.h"

namespace sparsepass {

using ort::Api;

Kernel::Kernel(const Op& op, const ort::Api& api, const ort::KernelInfo* info)
    : api_(api),
      op_(op),
      memory_info_(nullptr, api.ReleaseMemoryInfo()),
      threads_(threads_of_session(api, info)) {
  ort::MemoryInfo* memory_info = nullptr;
  check(api, api.CreateCpuMemoryInfo()(ort::kArenaAllocator, ort::kDefaultMemory, &memory_info),
        "the memory of the processor cannot be described");
  memory_info_.reset(memory_info);
  name_ = op.full_name + " node '" + NodeReader(api, info).node_name() + "'";
}

const float* Kernel::input(ort::KernelContext* context, size_t index,
                           std::vector<int64_t>* dims) const {
  const ort::Value* value = nullptr;
  check(api_, api_.KernelContext_GetInput()(context, index, &value), "an input is missing");
  if (!value) throw OrtError("an input is missing");
  ort::TensorInfo* info = nullptr;
  check(api_, api_.GetTensorTypeAndShape()(value, &info), "an input has no shape");
  size_t rank = 0;
  ort::Status* status = api_.GetDimensionsCount()(info, &rank);
  dims->resize(rank);
  if (!status) status = api_.GetDimensions()(info, dims->data(), rank);
  api_.ReleaseTensorTypeAndShapeInfo()(info);
  check(api_, status, "an input has no shape");
  void* data = nullptr;
  check(api_, api_.GetTensorMutableData()(const_cast<ort::Value*>(value), &data),
        "an input has no data");
  return static_cast<const float*>(data);
}

float* Kernel::output(ort::KernelContext* context, const std::vector<int64_t>& dims) const {
  ort::Value* y = nullptr;
  check(api_, api_.KernelContext_GetOutput()(context, 0, dims.data(), dims.size(), &y),
        "the output cannot be allocated");
  void* data = nullptr;
  check(api_, api_.GetTensorMutableData()(y, &data), "the output has no data");
  return static_cast<float*>(data);
}

namespace {

// One convolution of a node: its payload from input `first` on, in attributes whose names end in
// `tag`.
class LoadedConv {
 public:
  LoadedConv(const Op& op, const NodeReader& node, size_t first = 1, const std::string& tag = "")
      : declared_(node.declared_shape(0)) {
    Weight weight = {};
    std::vector<int64_t> dims, index_dims, bias_dims;
    weight.values = static_cast<const float*>(
        node.constant(first, ort::kTensorFloat, op.sparse() ? "values" : "weight", &dims));
    weight.count = elements(dims);
    if (op.sparse()) {
      weight.indices = static_cast<const int32_t*>(
          node.constant(first + 1, ort::kTensorInt32, "indices", &index_dims));
      if (elements(index_dims) != weight.count) {
        throw OrtError("values and indices differ in length");
      }
      // An empty tensor may have no data, and null would mean a dense weight.
      static constexpr int32_t kNone = 0;
      if (weight.count == 0) weight.indices = &kNone;
      dims = node.ints(("w_shape" + tag).c_str());
    }
    fill_shape(dims, node.ints(("strides" + tag).c_str()), node.ints(("dilations" + tag).c_str()),
               node.ints(("pads" + tag).c_str()), node.integer(("group" + tag).c_str()), &params_);
    const float* bias = static_cast<const float*>(
        node.constant(first + op.payload_inputs() - 1, ort::kTensorFloat, "bias", &bias_dims));
    if (elements(bias_dims) != params_.filters) throw OrtError("bias needs one value per filter");
    std::string error;
    conv_ = op.algorithm.factory(params_, weight, bias, op.activation->epilogue(node), *op.kernels,
                                 &error);
    if (!conv_) throw OrtError(error);
  }

  // The shape of the output for that of the input.
  std::vector<int64_t> output_shape(const std::vector<int64_t>& x) const {
    if (x.size() != 4) throw OrtError("input must have 4 dimensions");
    const std::string error = check_input(params_, x[0], x[1], x[2], x[3]);
    if (!error.empty()) throw OrtError(error);
    return {x[0], params_.filters, params_.out_h(x[2]), params_.out_w(x[3])};
  }

  // Whether the model itself says that all maps have the size of `x`.
  bool declares(const std::vector<int64_t>& x) const {
    return declared_.size() == 4 && declared_[2] == x[2] && declared_[3] == x[3];
  }

  void run(const Operands& operands, Host& host) const { conv_->run(operands, host); }

 private:
  ConvParams params_;
  std::vector<int64_t> declared_;
  std::unique_ptr<Conv> conv_;
};

class ConvNode : public Kernel {
 public:
  ConvNode(const Op& op, const Api& api, const ort::KernelInfo* info)
      : Kernel(op, api, info), conv_(op, NodeReader(api, info)) {}

  void compute(ort::KernelContext* context) const override {
    OrtHost host(api(), context, memory_info(), threads());
    std::vector<int64_t> x_dims, r_dims;
    Operands operands = {};
    operands.x = input(context, 0, &x_dims);
    const std::vector<int64_t> y_dims = conv_.output_shape(x_dims);
    if (op().residual) {
      operands.residual = input(context, op().payload_inputs() + 1, &r_dims);
      if (r_dims != y_dims) throw OrtError("the residual's shape differs from the output's");
    }
    operands.y = output(context, y_dims);
    operands.batch = x_dims[0];
    operands.in_h = x_dims[2];
    operands.in_w = x_dims[3];
    operands.is_declared = conv_.declares(x_dims);
    if (operands.batch > 0) conv_.run(operands, host);
  }

 private:
  LoadedConv conv_;
};

// Two convolutions of one input that write their channels next to each other.
class PairNode : public Kernel {
 public:
  PairNode(const Op& op, const Api& api, const ort::KernelInfo* info)
      : Kernel(op, api, info),
        convs_{{op, NodeReader(api, info)},
               {op, NodeReader(api, info), 1 + op.payload_inputs(), "2"}} {}

  void compute(ort::KernelContext* context) const override {
    std::vector<int64_t> x_dims;
    const float* x = input(context, 0, &x_dims);
    const std::vector<int64_t> first = convs_[0].output_shape(x_dims);
    const std::vector<int64_t> second = convs_[1].output_shape(x_dims);
    if (first[2] != second[2] || first[3] != second[3]) {
      throw OrtError("the maps of the two convolutions differ in size");
    }
    float* y = output(context, {x_dims[0], first[1] + second[1], first[2], first[3]});
    // Beside a batch of 0 the other sizes may have any product.
    if (x_dims[0] == 0) return;
    const int64_t in_size = x_dims[1] * x_dims[2] * x_dims[3], pixels = first[2] * first[3];
    for (int64_t image = 0; image < x_dims[0]; ++image) {
      for (const LoadedConv& conv : convs_) {
        // A host of its own, so that both use the same memory.
        OrtHost host(api(), context, memory_info(), threads());
        conv.run({x + image * in_size, nullptr, y, 1, x_dims[2], x_dims[3], conv.declares(x_dims)},
                 host);
        y += (&conv == convs_ ? first[1] : second[1]) * pixels;
      }
    }
  }

 private:
  const LoadedConv convs_[2];
};

// An op whose output has the shape of its input, (batch, channels, height, width).
class SameShapeNode : public Kernel {
 public:
  using Kernel::Kernel;

  void compute(ort::KernelContext* context) const override {
    OrtHost host(api(), context, memory_info(), threads());
    std::vector<int64_t> dims;
    const float* x = input(context, 0, &dims);
    if (dims.size() != 4) throw OrtError("input must have 4 dimensions");
    const std::string error = refusal(dims[1]);
    if (!error.empty()) throw OrtError(error);
    float* y = output(context, dims);
    // Beside a size of 0 the others may have any product.
    if (elements(dims) > 0) run(dims, x, y, host);
  }

 private:
  // Empty, or why an input of so many channels cannot be taken.
  virtual std::string refusal(int64_t) const { return ""; }
  virtual void run(const std::vector<int64_t>& dims, const float* x, float* y,
                   Host& host) const = 0;
};

class LrnNode : public SameShapeNode {
 public:
  LrnNode(const Op& op, const Api& api, const ort::KernelInfo* info)
      : SameShapeNode(op, api, info) {
    const NodeReader node(api, info);
    params_ = {node.integer("size"), node.real("alpha"), node.real("beta"), node.real("bias")};
    const std::string error = check_lrn(params_);
    if (!error.empty()) throw OrtError(error);
  }

 private:
  void run(const std::vector<int64_t>& dims, const float* x, float* y, Host& host) const override {
    run_lrn(params_, {dims[0], dims[1], dims[2] * dims[3]}, x, y, *op().kernels, host);
  }

  LrnParams params_;
};

class LargestNode : public SameShapeNode {
 public:
  LargestNode(const Op& op, const Api& api, const ort::KernelInfo* info)
      : SameShapeNode(op, api, info) {
    const NodeReader node(api, info);
    params_ = {node.integer("kept"), node.integer("block")};
    const std::string error = check_largest(params_);
    if (!error.empty()) throw OrtError(error);
  }

 private:
  std::string refusal(int64_t channels) const override {
    return check_largest_input(params_, channels);
  }

  void run(const std::vector<int64_t>& dims, const float* x, float* y, Host& host) const override {
    run_largest(params_, {dims[0], dims[1], dims[2] * dims[3]}, x, y, *op().kernels, host);
  }

  LargestParams params_;
};

class PoolNode : public Kernel {
 public:
  PoolNode(const Op& op, const Api& api, const ort::KernelInfo* info) : Kernel(op, api, info) {
    const NodeReader node(api, info);
    params_ = pool_params(node.ints("kernel_shape"), node.ints("strides"), node.ints("pads"));
  }

  void compute(ort::KernelContext* context) const override {
    OrtHost host(api(), context, memory_info(), threads());
    std::vector<int64_t> dims;
    const float* x = input(context, 0, &dims);
    if (dims.size() != 4) throw OrtError("input must have 4 dimensions");
    const PoolShape shape = {elements({dims[0], dims[1]}), dims[2], dims[3]};
    const std::string error = check_pool_input(params_, shape);
    if (!error.empty()) throw OrtError(error);
    const std::vector<int64_t> y_dims = {dims[0], dims[1], params_.out_h(dims[2]),
                                         params_.out_w(dims[3])};
    run_max_pool(params_, shape, x, output(context, y_dims), *op().kernels, host);
  }

 private:
  PoolParams params_;
};

}  // namespace

Kernel* create_conv(const Op& op, const Api& api, const ort::KernelInfo* info) {
  return new ConvNode(op, api, info);
}

Kernel* create_pair(const Op& op, const Api& api, const ort::KernelInfo* info) {
  return new PairNode(op, api, info);
}

Kernel* create_lrn(const Op& op, const Api& api, const ort::KernelInfo* info) {
  return new LrnNode(op, api, info);
}

Kernel* create_largest(const Op& op, const Api& api, const ort::KernelInfo* info) {
  return new LargestNode(op, api, info);
}

Kernel* create_max_pool(const Op& op, const Api& api, const ort::KernelInfo* info) {
  return new PoolNode(op, api, info);
}

}  // namespace sparsepass
