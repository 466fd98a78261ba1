// The border to ONNX Runtime: turns nodes and tensors into the structs of conv.h.
//
// Nothing is thrown across it: every callback returns a status that names the node and what is wrong.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "algorithms.h"
#include "kernels.h"
#include "lrn.h"
#include "ort_abi.h"
#include "payload.h"

namespace sparsepass {
namespace {

using ort::Api;

// A failed call into ONNX Runtime, or a model that cannot be used.
struct OrtError : std::exception {
  explicit OrtError(std::string text) : message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

void check(const Api& api, ort::Status* status, const char* what) {
  if (!status) return;
  api.ReleaseStatus()(status);
  throw OrtError(what);
}

template <class Body>
ort::Status* guarded(const Api& api, const std::string& where, Body body) {
  try {
    body();
    return nullptr;
  } catch (const std::bad_alloc&) {
    return api.CreateStatus()(ort::kFail, (where + ": out of memory").c_str());
  } catch (const std::exception& error) {
    return api.CreateStatus()(ort::kInvalidArgument, (where + ": " + error.what()).c_str());
  }
}

enum class Activation { none, relu, clip, leaky_relu };

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
  // Convolutions only: a row with one epilogue.
  const OpRow* row;
  Activation activation;
  bool residual;

  size_t bias_index() const { return row->sparse ? 3 : 2; }
};

const Op& as_op(const ort::CustomOp* op) { return *static_cast<const Op*>(op); }

// --- what a node holds ----------------------------------------------------------------------------

class NodeReader {
 public:
  NodeReader(const Api& api, const ort::KernelInfo* info) : api_(api), info_(info) {}

  std::vector<int64_t> ints(const char* name) const {
    size_t size = 0;
    check(api_, api_.KernelInfoGetAttributeArray_int64()(info_, name, nullptr, &size),
          "an attribute is missing or is no list of integers; export the model again");
    std::vector<int64_t> values(size);
    check(api_, api_.KernelInfoGetAttributeArray_int64()(info_, name, values.data(), &size),
          "an attribute cannot be read");
    return values;
  }
  float real(const char* name) const {
    float value;
    check(api_, api_.KernelInfoGetAttribute_float()(info_, name, &value),
          "a float attribute is missing; export the model again");
    return value;
  }
  int64_t integer(const char* name) const {
    int64_t value;
    check(api_, api_.KernelInfoGetAttribute_int64()(info_, name, &value),
          "an integer attribute is missing; export the model again");
    return value;
  }
  // A constant input of `type`; `count` gets its number of elements.
  const void* constant(size_t index, int type, const char* name, std::vector<int64_t>* dims) const {
    int is_constant = 0;
    const ort::Value* value = nullptr;
    check(api_, api_.KernelInfoGetConstantInput_tensor()(info_, index, &is_constant, &value),
          "a constant input cannot be read");
    if (!is_constant || !value) {
      throw OrtError(std::string(name) + " is not a constant; only constant weights are supported");
    }
    ort::TensorInfo* info = nullptr;
    check(api_, api_.GetTensorTypeAndShape()(value, &info), "a constant has no shape");
    int actual = 0;
    size_t rank = 0;
    ort::Status* status = api_.GetTensorElementType()(info, &actual);
    if (!status) status = api_.GetDimensionsCount()(info, &rank);
    dims->resize(rank);
    if (!status) status = api_.GetDimensions()(info, dims->data(), rank);
    api_.ReleaseTensorTypeAndShapeInfo()(info);
    check(api_, status, "a constant has no shape");
    if (actual != type) throw OrtError(std::string(name) + " has the wrong element type");
    void* data = nullptr;
    check(api_, api_.GetTensorMutableData()(const_cast<ort::Value*>(value), &data),
          "a constant has no data");
    return data;
  }
  std::string node_name() const {
    size_t size = 0;
    ort::Status* status = api_.KernelInfo_GetNodeName()(info_, nullptr, &size);
    std::string name(size, 0);
    if (!status) status = api_.KernelInfo_GetNodeName()(info_, &name[0], &size);
    if (status) {
      api_.ReleaseStatus()(status);
      return "";
    }
    return name.c_str();
  }

 private:
  const Api& api_;
  const ort::KernelInfo* info_;
};

int64_t elements(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) {
    if (!multiply(count, dim, &count)) throw OrtError("a tensor's size overflows");
  }
  return count;
}

void fill_shape(const std::vector<int64_t>& w_shape, const std::vector<int64_t>& strides,
                const std::vector<int64_t>& dilations, const std::vector<int64_t>& pads,
                int64_t group, ConvParams* params) {
  if (w_shape.size() != 4 || strides.size() != 2 || dilations.size() != 2 || pads.size() != 4) {
    throw OrtError("the weight must have 4 dimensions, strides and dilations 2, pads 4 values");
  }
  *params = {w_shape[0], w_shape[1],   group,        w_shape[2], w_shape[3], strides[0], strides[1],
             dilations[0], dilations[1], pads[0], pads[1], pads[2], pads[3]};
  const std::string error = check_params(*params);
  if (!error.empty()) throw OrtError(error);
}

// --- the kernel -----------------------------------------------------------------------------------

// How many threads a session has, as far as the calls of its nodes have seen.
struct ThreadCount {
  std::atomic<int> found{1};
  std::atomic<uint64_t> calls{0};
};

// The count that all nodes of a session share.  A session has one logger, and no other name.
std::shared_ptr<ThreadCount> threads_of_session(const Api& api, const ort::KernelInfo* info) {
  const ort::Logger* session = nullptr;
  check(api, api.KernelInfo_GetLogger()(info, &session), "the session has no logger");
  static std::mutex mutex;
  static std::map<const ort::Logger*, std::weak_ptr<ThreadCount>> sessions;
  const std::lock_guard<std::mutex> lock(mutex);
  for (auto entry = sessions.begin(); entry != sessions.end();) {
    entry = entry->second.expired() ? sessions.erase(entry) : std::next(entry);
  }
  std::shared_ptr<ThreadCount> count = sessions[session].lock();
  if (!count) sessions[session] = count = std::make_shared<ThreadCount>();
  return count;
}

class OrtHost : public Host {
 public:
  static constexpr size_t kLine = 64;

  // Calls 1, 2, 4, 8, ... of a session count its threads, as a thread may sleep through one of them.
  OrtHost(const Api& api, const ort::KernelContext* context, const ort::MemoryInfo* memory_info,
          ThreadCount* threads)
      : api_(api), context_(context), memory_info_(memory_info) {
    // Asking the system takes microseconds.
    static const int most = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    const uint64_t call = threads->calls.fetch_add(1) + 1;
    if (threads->found.load() < most && (call & (call - 1)) == 0) {
      threads->found.store(std::max(threads->found.load(), count_threads(most)));
    }
    threads_ = threads->found.load();
  }
  ~OrtHost() override {
    for (void* memory : memory_) {
      if (ort::Status* status = api_.AllocatorFree()(allocator_, memory)) {
        api_.ReleaseStatus()(status);
      }
    }
    if (allocator_) api_.ReleaseAllocator()(allocator_);
  }
  OrtHost(const OrtHost&) = delete;
  OrtHost& operator=(const OrtHost&) = delete;

  void parallel_for(int64_t count, const std::function<void(int64_t)>& task) override {
    if (count <= 1) {
      if (count == 1) task(0);
      return;
    }
    Tasks tasks = {&task, {}, {}};
    check(api_,
          api_.KernelContext_ParallelFor()(context_, &Tasks::run, static_cast<size_t>(count), 0,
                                           &tasks),
          "ONNX Runtime could not start its threads");
    if (tasks.failed.load()) std::rethrow_exception(tasks.error);
  }
  int threads() const override { return threads_; }
  // From the session's arena: the next layer gets the same memory, which the caches still hold.
  void* scratch(size_t bytes) override {
    if (!allocator_) {
      check(api_, api_.KernelContext_GetAllocator()(context_, memory_info_, &allocator_),
            "the session has no allocator");
    }
    void* memory = nullptr;
    ort::Status* status = api_.AllocatorAlloc()(allocator_, bytes + kLine, &memory);
    if (status) api_.ReleaseStatus()(status);
    if (!memory) throw std::bad_alloc();
    memory_.push_back(memory);
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    return reinterpret_cast<void*>((address + kLine - 1) / kLine * kLine);
  }

 private:
  // The C API tells nobody how many threads a session has, and work that is cut for two costs one
  // more than it should.  So as many tasks as there could be threads wait a moment for each other.
  int count_threads(int most) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
    std::mutex mutex;
    std::set<std::thread::id> seen;
    std::atomic<int> arrived{0};
    parallel_for(most, [&](int64_t) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        seen.insert(std::this_thread::get_id());
      }
      arrived.fetch_add(1);
      while (arrived.load() < most && std::chrono::steady_clock::now() < end) {
        std::this_thread::yield();
      }
    });
    return static_cast<int>(seen.size());
  }

  struct Tasks {
    const std::function<void(int64_t)>* task;
    std::atomic<bool> failed;
    std::exception_ptr error;

    static void run(void* data, size_t index) {
      Tasks& tasks = *static_cast<Tasks*>(data);
      try {
        (*tasks.task)(static_cast<int64_t>(index));
      } catch (...) {
        if (!tasks.failed.exchange(true)) tasks.error = std::current_exception();
      }
    }
  };

  const Api& api_;
  const ort::KernelContext* context_;
  const ort::MemoryInfo* memory_info_;
  ort::Allocator* allocator_ = nullptr;
  int threads_ = 1;
  std::vector<void*> memory_;
};

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

class ConvNode : public Kernel {
 public:
  ConvNode(const Op& op, const Api& api, const ort::KernelInfo* info) : Kernel(op, api, info) {
    const NodeReader node(api, info);
    Weight weight = {};
    std::vector<int64_t> dims, index_dims, bias_dims;
    weight.values = static_cast<const float*>(
        node.constant(1, ort::kTensorFloat, op.row->sparse ? "values" : "weight", &dims));
    weight.count = elements(dims);
    if (op.row->sparse) {
      weight.indices =
          static_cast<const int32_t*>(node.constant(2, ort::kTensorInt32, "indices", &index_dims));
      if (elements(index_dims) != weight.count) {
        throw OrtError("values and indices differ in length");
      }
      // An empty tensor may have no data, and null would mean a dense weight.
      static constexpr int32_t kNone = 0;
      if (weight.count == 0) weight.indices = &kNone;
      dims = node.ints("w_shape");
    }
    fill_shape(dims, node.ints("strides"), node.ints("dilations"), node.ints("pads"),
               node.integer("group"), &params_);
    const float* bias = static_cast<const float*>(
        node.constant(op.bias_index(), ort::kTensorFloat, "bias", &bias_dims));
    if (elements(bias_dims) != params_.filters) throw OrtError("bias needs one value per filter");
    std::string error;
    conv_ = op.row->factory(params_, weight, bias, epilogue(node), *kernels_for(best_isa()), &error);
    if (!conv_) throw OrtError(error);
  }

  void compute(ort::KernelContext* context) const override {
    OrtHost host(api(), context, memory_info(), threads());
    std::vector<int64_t> x_dims, r_dims;
    Operands operands = {};
    operands.x = input(context, 0, &x_dims);
    if (x_dims.size() != 4) throw OrtError("input must have 4 dimensions");
    const std::string error = check_input(params_, x_dims[0], x_dims[1], x_dims[2], x_dims[3]);
    if (!error.empty()) throw OrtError(error);
    const std::vector<int64_t> y_dims = {x_dims[0], params_.filters, params_.out_h(x_dims[2]),
                                         params_.out_w(x_dims[3])};
    if (op().residual) {
      operands.residual = input(context, op().bias_index() + 1, &r_dims);
      if (r_dims != y_dims) throw OrtError("the residual's shape differs from the output's");
    }
    operands.y = output(context, y_dims);
    operands.batch = x_dims[0];
    operands.in_h = x_dims[2];
    operands.in_w = x_dims[3];
    if (operands.batch > 0) conv_->run(operands, host);
  }

 private:
  Epilogue epilogue(const NodeReader& node) const {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    switch (op().activation) {
      case Activation::relu:
        return {1.0f, 0.0f, infinity};
      case Activation::clip:
        return {1.0f, node.real("min"), node.real("max")};
      case Activation::leaky_relu:
        return {node.real("alpha"), -infinity, infinity};
      default:
        return {1.0f, -infinity, infinity};
    }
  }

  ConvParams params_;
  std::unique_ptr<Conv> conv_;
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

// --- shape inference ------------------------------------------------------------------------------

// Holds a TensorInfo of our own and releases it.
class OwnedInfo {
 public:
  OwnedInfo(const Api& api, ort::TensorInfo* info) : api_(api), info_(info) {}
  ~OwnedInfo() { api_.ReleaseTensorTypeAndShapeInfo()(info_); }
  OwnedInfo(const OwnedInfo&) = delete;
  OwnedInfo& operator=(const OwnedInfo&) = delete;
  ort::TensorInfo* get() const { return info_; }

 private:
  const Api& api_;
  ort::TensorInfo* info_;
};

std::vector<int64_t> attribute_ints(const Api& api, ort::ShapeInferContext* context,
                                    const char* name) {
  const ort::OpAttr* attribute = nullptr;
  check(api, api.ShapeInferContext_GetAttribute()(context, name, &attribute),
        "an attribute is missing");
  int64_t values[8];
  size_t bytes = 0;
  check(api,
        api.ReadOpAttr()(attribute, ort::kAttributeInts, values, sizeof(values), &bytes),
        "an attribute has too many values");
  return {values, values + bytes / sizeof(int64_t)};
}

// The context owns what it returns.
const ort::TensorInfo* input_info(const Api& api, ort::ShapeInferContext* context, size_t index) {
  ort::TensorInfo* info = nullptr;
  check(api, api.ShapeInferContext_GetInputTypeShape()(context, index, &info),
        "an input has no shape");
  return info;
}

std::vector<int64_t> dimensions(const Api& api, const ort::TensorInfo* info) {
  size_t rank = 0;
  check(api, api.GetDimensionsCount()(info, &rank), "an input has no shape");
  std::vector<int64_t> dims(rank);
  check(api, api.GetDimensions()(info, dims.data(), rank), "an input has no shape");
  return dims;
}

// The name of an output size, from that of the input size and what padding adds to and the kernel takes off
// it: equal names are equal sizes.  Empty where the input has none.
std::string size_name(const std::string& input, int64_t added, int64_t stride) {
  if (input.empty() || (added == -1 && stride == 1)) return input;
  return "(" + input + (added < 0 ? "" : "+") + std::to_string(added) + ")/" +
         std::to_string(stride) + "+1";
}

// Sizes below 0 go by their names.  ONNX Runtime would take one without a name for a number, so that no
// shape is better.
void set_output_shape(const Api& api, ort::ShapeInferContext* context,
                      const std::array<int64_t, 4>& dims, std::array<const char*, 4> names) {
  for (int axis = 0; axis < 4; ++axis) {
    if (dims[axis] < 0 && !*names[axis]) return;
    if (dims[axis] >= 0) names[axis] = "";
  }
  ort::TensorInfo* raw = nullptr;
  check(api, api.CreateTensorTypeAndShapeInfo()(&raw), "no memory for a shape");
  const OwnedInfo y(api, raw);
  check(api, api.SetTensorElementType()(y.get(), ort::kTensorFloat), "no element type");
  check(api, api.SetDimensions()(y.get(), dims.data(), 4), "no dimensions");
  check(api, api.SetSymbolicDimensions()(y.get(), names.data(), 4), "no symbolic dimensions");
  check(api, api.ShapeInferContext_SetOutputTypeShape()(context, 0, y.get()), "no output shape");
}

void infer_shape_of_input(const Op&, const Api& api, ort::ShapeInferContext* context) {
  const ort::TensorInfo* x = input_info(api, context, 0);
  const std::vector<int64_t> dims = dimensions(api, x);
  if (dims.size() != 4) return;  // unknown: the kernel checks when it runs
  std::array<const char*, 4> symbols = {"", "", "", ""};
  check(api, api.GetSymbolicDimensions()(x, symbols.data(), 4), "no symbolic shape");
  set_output_shape(api, context, {dims[0], dims[1], dims[2], dims[3]}, symbols);
}

void infer_shape_of_conv(const Op& op, const Api& api, ort::ShapeInferContext* context) {
  const ort::TensorInfo* x = input_info(api, context, 0);
  const std::vector<int64_t> x_dims = dimensions(api, x);
  if (x_dims.size() != 4) return;  // unknown: the kernel checks when it runs
  std::vector<int64_t> w_shape;
  if (op.row->sparse) {
    w_shape = attribute_ints(api, context, "w_shape");
  } else {
    w_shape = dimensions(api, input_info(api, context, 1));
  }
  ConvParams params;
  fill_shape(w_shape, attribute_ints(api, context, "strides"),
             attribute_ints(api, context, "dilations"), attribute_ints(api, context, "pads"), 1,
             &params);
  std::vector<const char*> symbols(4, "");
  check(api, api.GetSymbolicDimensions()(x, symbols.data(), 4), "no symbolic shape");
  const ConvParams& p = params;
  const std::string size_names[4] = {
      symbols[0], "",
      size_name(symbols[2], p.pad_top + p.pad_bottom - p.dilation_h * (p.kernel_h - 1) - 1, p.stride_h),
      size_name(symbols[3], p.pad_left + p.pad_right - p.dilation_w * (p.kernel_w - 1) - 1, p.stride_w)};
  const auto size = [&](int axis, int64_t of_input) { return x_dims[axis] < 0 ? -1 : of_input; };
  set_output_shape(api, context,
                   {x_dims[0], p.filters, size(2, p.out_h(x_dims[2])), size(3, p.out_w(x_dims[3]))},
                   {size_names[0].c_str(), "", size_names[2].c_str(), size_names[3].c_str()});
}

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

Op make_conv_op(const OpRow& row, bool residual, Activation activation) {
  static const char* const suffixes[] = {"", "Relu", "Clip", "LeakyRelu"};
  std::vector<int> types(3 + row.sparse + residual, ort::kTensorFloat);
  if (row.sparse) types[2] = ort::kTensorInt32;
  Op op = make_op(
      std::string(row.name) + (residual ? "Add" : "") + suffixes[static_cast<int>(activation)],
      std::move(types));
  op.create = create<ConvNode>;
  if (residual && row.sparse) op.GetMayInplace = residual_may_become_output;
  op.infer = infer_shape_of_conv;
  op.row = &row;
  op.activation = activation;
  op.residual = residual;
  return op;
}

Op make_lrn_op() {
  Op op = make_op("LocalResponseNorm", {ort::kTensorFloat});
  op.create = create<LrnNode>;
  op.infer = infer_shape_of_input;
  return op;
}

const std::vector<Op>& all_ops() {
  static const std::vector<Op> ops = [] {
    std::vector<Op> made;
    for (const OpRow& row : kOps) {
      for (const bool residual : {false, true}) {
        for (const Activation activation : {Activation::none, Activation::relu, Activation::clip,
                                            Activation::leaky_relu}) {
          made.push_back(make_conv_op(row, residual, activation));
        }
      }
    }
    made.push_back(make_lrn_op());
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
