// The border to ONNX Runtime: turns nodes and tensors into the structs of conv.h.
//
// Nothing is thrown across it: every callback returns a status that names the node and what is wrong.
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "algorithms.h"
#include "kernels.h"
#include "lrn.h"
#include "ort_abi.h"
#include "ort_error.h"
#include "ort_host.h"
#include "ort_node.h"
#include "ort_shapes.h"
#include "payload.h"
#include "pool.h"

namespace sparsepass {
namespace {

using ort::Api;

enum class Activation { none, relu, clip, leaky_relu, hard_swish, silu };

struct OpRow {
  const char* name;
  ConvFactory* factory;
  bool sparse;
};

const OpRow kOps[] = {
#define SP_OP(name, algorithm, sparse) {#name, &make_##algorithm, sparse},
#include "ops.inc"
#undef SP_OP
};

class Kernel;

// One registered op.
struct Op : ort::CustomOp {
  std::string full_name;
  std::vector<int> input_types;
  Kernel* (*create)(const Op& op, const Api& api, const ort::KernelInfo* info);
  void (*infer)(const Op& op, const Api& api, ort::ShapeInferContext* context);
  // Ops of one map only.
  void (*infer_map)(const Api& api, ort::ShapeInferContext* context);
  // Convolutions only: a row with one epilogue.
  const OpRow* row;
  Activation activation;
  bool residual;

  // Inputs of a convolution's weight and bias.
  size_t payload_inputs() const { return row->sparse ? 3 : 2; }
};

const Op& as_op(const ort::CustomOp* op) { return *static_cast<const Op*>(op); }

// --- the kernel -----------------------------------------------------------------------------------

// A node of the graph, ready to run.
class Kernel {
 public:
  Kernel(const Op& op, const Api& api, const ort::KernelInfo* info)
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
  virtual ~Kernel() = default;

  virtual void compute(ort::KernelContext* context) const = 0;

  const Api& api() const { return api_; }
  const std::string& name() const { return name_; }

 protected:
  const Op& op() const { return op_; }
  const ort::MemoryInfo* memory_info() const { return memory_info_.get(); }
  ThreadCount* threads() const { return threads_.get(); }

  const float* input(ort::KernelContext* context, size_t index, std::vector<int64_t>* dims) const {
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

  float* output(ort::KernelContext* context, const std::vector<int64_t>& dims) const {
    ort::Value* y = nullptr;
    check(api_, api_.KernelContext_GetOutput()(context, 0, dims.data(), dims.size(), &y),
          "the output cannot be allocated");
    void* data = nullptr;
    check(api_, api_.GetTensorMutableData()(y, &data), "the output has no data");
    return static_cast<float*>(data);
  }

 private:
  const Api& api_;
  const Op& op_;
  std::string name_;
  std::unique_ptr<ort::MemoryInfo, void(SP_ORT_CALL*)(ort::MemoryInfo*)> memory_info_;
  std::shared_ptr<ThreadCount> threads_;
};

// One convolution of a node: its payload from input `first` on, in attributes whose names end in `tag`.
class LoadedConv {
 public:
  LoadedConv(const Op& op, const NodeReader& node, size_t first = 1, const std::string& tag = "") {
    Weight weight = {};
    std::vector<int64_t> dims, index_dims, bias_dims;
    weight.values = static_cast<const float*>(
        node.constant(first, ort::kTensorFloat, op.row->sparse ? "values" : "weight", &dims));
    weight.count = elements(dims);
    if (op.row->sparse) {
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
    conv_ = op.row->factory(params_, weight, bias, epilogue(op, node), *kernels_for(best_isa()),
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

  void run(const Operands& operands, Host& host) const { conv_->run(operands, host); }

 private:
  static Epilogue epilogue(const Op& op, const NodeReader& node) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    switch (op.activation) {
      case Activation::relu:
        return {1.0f, 0.0f, infinity, Curve::none};
      case Activation::clip:
        return {1.0f, node.real("min"), node.real("max"), Curve::none};
      case Activation::leaky_relu:
        return {node.real("alpha"), -infinity, infinity, Curve::none};
      case Activation::hard_swish:
        return {1.0f, -infinity, infinity, Curve::hard_swish};
      case Activation::silu:
        return {1.0f, -infinity, infinity, Curve::silu};
      default:
        return {1.0f, -infinity, infinity, Curve::none};
    }
  }

  ConvParams params_;
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
    const int64_t in_size = x_dims[1] * x_dims[2] * x_dims[3], pixels = first[2] * first[3];
    float* y = output(context, {x_dims[0], first[1] + second[1], first[2], first[3]});
    for (int64_t image = 0; image < x_dims[0]; ++image) {
      for (const LoadedConv& conv : convs_) {
        // A host of its own, so that both use the same memory.
        OrtHost host(api(), context, memory_info(), threads());
        conv.run({x + image * in_size, nullptr, y, 1, x_dims[2], x_dims[3]}, host);
        y += (&conv == convs_ ? first[1] : second[1]) * pixels;
      }
    }
  }

 private:
  const LoadedConv convs_[2];
};

class LrnNode : public Kernel {
 public:
  LrnNode(const Op& op, const Api& api, const ort::KernelInfo* info) : Kernel(op, api, info) {
    const NodeReader node(api, info);
    params_ = {node.integer("size"), node.real("alpha"), node.real("beta"), node.real("bias")};
    const std::string error = check_lrn(params_);
    if (!error.empty()) throw OrtError(error);
  }

  void compute(ort::KernelContext* context) const override {
    OrtHost host(api(), context, memory_info(), threads());
    std::vector<int64_t> dims;
    const float* x = input(context, 0, &dims);
    if (dims.size() != 4) throw OrtError("input must have 4 dimensions");
    run_lrn(params_, {dims[0], dims[1], dims[2] * dims[3]}, x, output(context, dims),
            *kernels_for(best_isa()), host);
  }

 private:
  LrnParams params_;
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
    const PoolShape shape = {dims[0] * dims[1], dims[2], dims[3]};
    const std::string error = check_pool_input(params_, shape);
    if (!error.empty()) throw OrtError(error);
    const std::vector<int64_t> y_dims = {dims[0], dims[1], params_.out_h(dims[2]),
                                         params_.out_w(dims[3])};
    run_max_pool(params_, shape, x, output(context, y_dims), *kernels_for(best_isa()), host);
  }

 private:
  PoolParams params_;
};

// --- registration ---------------------------------------------------------------------------------

// The table that GetApi returned; the same pointer for the life of the process.
const Api* g_api = nullptr;

// What all ops have in common; `create` and `infer` are the caller's.
Op make_op(std::string name, std::vector<int> input_types) {
  Op op = {};
  op.full_name = std::move(name);
  op.input_types = std::move(input_types);
  op.version = ort::kApiVersion;
  op.GetName = [](const ort::CustomOp* o) { return as_op(o).full_name.c_str(); };
  op.GetExecutionProviderType = [](const ort::CustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const ort::CustomOp* o, size_t i) { return as_op(o).input_types[i]; };
  op.GetInputTypeCount = [](const ort::CustomOp* o) { return as_op(o).input_types.size(); };
  op.GetOutputType = [](const ort::CustomOp*, size_t) { return ort::kTensorFloat; };
  op.GetOutputTypeCount = [](const ort::CustomOp*) -> size_t { return 1; };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.GetInputCharacteristic = [](const ort::CustomOp*, size_t) { return ort::kRequired; };
  op.GetOutputCharacteristic = [](const ort::CustomOp*, size_t) { return ort::kRequired; };
  op.GetInputMemoryType = [](const ort::CustomOp*, size_t) { return 0; };
  op.GetVariadicInputMinArity = [](const ort::CustomOp*) { return 0; };
  op.GetVariadicInputHomogeneity = [](const ort::CustomOp*) { return 0; };
  op.GetVariadicOutputMinArity = [](const ort::CustomOp*) { return 0; };
  op.GetVariadicOutputHomogeneity = [](const ort::CustomOp*) { return 0; };
  op.CreateKernelV2 = [](const ort::CustomOp* o, const Api* api, const ort::KernelInfo* info,
                         void** kernel) {
    return guarded(*api, as_op(o).full_name + " node '" + NodeReader(*api, info).node_name() + "'",
                   [&] { *kernel = as_op(o).create(as_op(o), *api, info); });
  };
  op.KernelComputeV2 = [](void* kernel, ort::KernelContext* context) {
    const Kernel& self = *static_cast<Kernel*>(kernel);
    return guarded(self.api(), self.name(), [&] { self.compute(context); });
  };
  op.InferOutputShapeFn = [](const ort::CustomOp* o, ort::ShapeInferContext* context) {
    return guarded(*g_api, as_op(o).full_name, [&] { as_op(o).infer(as_op(o), *g_api, context); });
  };
  op.GetStartVersion = [](const ort::CustomOp*) { return 1; };
  op.GetEndVersion = [](const ort::CustomOp*) { return std::numeric_limits<int>::max(); };
  op.GetMayInplace = [](int**, int**) -> size_t { return 0; };
  op.ReleaseMayInplace = [](int*, int*) {};
  op.GetAliasMap = [](int**, int**) -> size_t { return 0; };
  op.ReleaseAliasMap = [](int*, int*) {};
  return op;
}

template <class Made>
Kernel* create(const Op& op, const Api& api, const ort::KernelInfo* info) {
  return new Made(op, api, info);
}

// Where nobody reads the residual afterwards, its memory can take the output: the caches hold it.
size_t SP_ORT_CALL residual_may_become_output(int** input, int** output) {
  static int residual = 4, first = 0;
  *input = &residual;
  *output = &first;
  return 1;
}

const char* suffix_of(Activation activation) {
  static const char* const suffixes[] = {"", "Relu", "Clip", "LeakyRelu", "HardSwish", "Silu"};
  return suffixes[static_cast<int>(activation)];
}

Op make_conv_op(const OpRow& row, bool residual, Activation activation) {
  std::vector<int> types(3 + row.sparse + residual, ort::kTensorFloat);
  if (row.sparse) types[2] = ort::kTensorInt32;
  Op op = make_op(std::string(row.name) + (residual ? "Add" : "") + suffix_of(activation),
                  std::move(types));
  op.create = create<ConvNode>;
  if (residual && row.sparse) op.GetMayInplace = residual_may_become_output;
  op.infer = [](const Op& made, const Api& api, ort::ShapeInferContext* context) {
    infer_shape_of_conv(api, context, made.row->sparse);
  };
  op.row = &row;
  op.activation = activation;
  op.residual = residual;
  return op;
}

// Both convolutions are of the first row, which is sparse.
Op make_pair_op(Activation activation) {
  std::vector<int> types = {ort::kTensorFloat};
  for (int branch = 0; branch < 2; ++branch) {
    types.insert(types.end(), {ort::kTensorFloat, ort::kTensorInt32, ort::kTensorFloat});
  }
  Op op = make_op(std::string("SparseConvPair") + suffix_of(activation), std::move(types));
  op.create = create<PairNode>;
  op.row = &kOps[0];
  op.activation = activation;
  op.infer = [](const Op&, const Api& api, ort::ShapeInferContext* context) {
    infer_shape_of_pair(api, context);
  };
  return op;
}

// An op that turns one map into another.
template <class Made>
Op make_map_op(const char* name, void (*infer)(const Api& api, ort::ShapeInferContext* context)) {
  Op op = make_op(name, {ort::kTensorFloat});
  op.create = create<Made>;
  op.infer_map = infer;
  op.infer = [](const Op& made, const Api& api, ort::ShapeInferContext* context) {
    made.infer_map(api, context);
  };
  return op;
}

const std::vector<Op>& all_ops() {
  static const std::vector<Op> ops = [] {
    std::vector<Op> made;
    constexpr Activation activations[] = {Activation::none,       Activation::relu,
                                          Activation::clip,       Activation::leaky_relu,
                                          Activation::hard_swish, Activation::silu};
    for (const OpRow& row : kOps) {
      for (const bool residual : {false, true}) {
        for (const Activation activation : activations) {
          made.push_back(make_conv_op(row, residual, activation));
        }
      }
    }
    made.push_back(make_map_op<LrnNode>("LocalResponseNorm", infer_shape_of_input));
    made.push_back(make_map_op<PoolNode>("MaxPool2d", infer_shape_of_pool));
    for (const Activation activation : activations) made.push_back(make_pair_op(activation));
    return made;
  }();
  return ops;
}

// Whether the runtime takes ops that name inputs whose memory may become the output.
bool knows_reuse(const ort::ApiBase& base) {
  int major = 0, minor = 0;
  return std::sscanf(base.GetVersionString(), "%d.%d", &major, &minor) == 2 &&
         (major > 1 || minor >= static_cast<int>(ort::kReuseApiVersion));
}

// One domain for all sessions: sessions keep pointers into it, so it is never released.
ort::CustomOpDomain* domain(const Api& api, bool reuse) {
  static ort::CustomOpDomain* const made = [&] {
    ort::CustomOpDomain* out = nullptr;
    check(api, api.CreateCustomOpDomain()("ai.sparsepass", &out), "the domain cannot be created");
    static std::vector<Op> ops = all_ops();
    for (Op& op : ops) {
      if (reuse) op.version = ort::kReuseApiVersion;
      check(api, api.CustomOpDomain_Add()(out, &op), "an op cannot be added to the domain");
    }
    return out;
  }();
  return made;
}

}  // namespace
}  // namespace sparsepass

#if defined(_WIN32)
#define SP_EXPORT extern "C" __declspec(dllexport)
#else
#define SP_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// What every ONNX Runtime binding looks for.  Registering twice with the same options does nothing; a
// runtime older than 1.17 is left alone, so that models run on their function bodies.
SP_EXPORT sparsepass::ort::Status* SP_ORT_CALL
RegisterCustomOps(sparsepass::ort::SessionOptions* options, const sparsepass::ort::ApiBase* base) {
  using namespace sparsepass;
  const ort::Api* api = base->GetApi(ort::kApiVersion);
  if (!api) return nullptr;
  g_api = api;
  return guarded(*api, "sparsepass", [&] {
    constexpr const char* kMark = "ai.sparsepass.registered";
    int registered = 0;
    check(*api, api->HasSessionConfigEntry()(options, kMark, &registered), "options are not usable");
    if (registered) return;
    check(*api, api->AddCustomOpDomain()(options, domain(*api, knows_reuse(*base))), "the domain cannot be added");
    check(*api, api->AddSessionConfigEntry()(options, kMark, "1"), "options are not usable");
  });
}

// Calls `visit` with the name of every op, for the test that compares them with the Python table.
SP_EXPORT void sparsepass_list_ops(void (*visit)(const char* name)) {
  for (const auto& op : sparsepass::all_ops()) visit(op.full_name.c_str());
}
