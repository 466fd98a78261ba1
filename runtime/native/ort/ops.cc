// What ONNX Runtime asks for: the table of our ops, and the function that registers them.
//
// Nothing is thrown across the border: every callback returns a status that names the node and what
// is wrong.
#include <array>
#include <cstdio>
#include <cstring>
#include <limits>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/export.h"
#include "base/machine.h"
#include "conv/algorithms.h"
#include "kernels/table.h"
#include "ort/abi.h"
#include "ort/error.h"
#include "ort/kernels.h"
#include "ort/node.h"
#include "ort/shapes.h"

namespace sparsepass {
namespace {

using ort::Api;

const Op& as_op(const ort::CustomOp* op) { return *static_cast<const Op*>(op); }

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
    const auto where = [&] {
      return as_op(o).full_name + " node '" + NodeReader(*api, info).node_name() + "'";
    };
    return guarded(*api, where, [&] { *kernel = as_op(o).create(as_op(o), *api, info); });
  };
  op.KernelComputeV2 = [](void* kernel, ort::KernelContext* context) {
    const Kernel& self = *static_cast<Kernel*>(kernel);
    return guarded(self.api(), [&] { return self.name(); }, [&] { self.compute(context); });
  };
  op.InferOutputShapeFn = [](const ort::CustomOp* o, ort::ShapeInferContext* context) {
    return guarded(
        *g_api, [&] { return as_op(o).full_name; },
        [&] { as_op(o).infer(as_op(o), *g_api, context); });
  };
  op.GetStartVersion = [](const ort::CustomOp*) { return 1; };
  op.GetEndVersion = [](const ort::CustomOp*) { return std::numeric_limits<int>::max(); };
  op.GetMayInplace = [](int**, int**) -> size_t { return 0; };
  op.ReleaseMayInplace = [](int*, int*) {};
  op.GetAliasMap = [](int**, int**) -> size_t { return 0; };
  op.ReleaseAliasMap = [](int*, int*) {};
  return op;
}

// Where nobody reads the residual afterwards, its memory can take the output: the caches hold it.
size_t SP_ORT_CALL residual_may_become_output(int** input, int** output) {
  static int residual = 4, first = 0;
  *input = &residual;
  *output = &first;
  return 1;
}

// Types of the inputs that carry a weight and its bias.
std::vector<int> payload_types(WeightForm form) {
  if (form == WeightForm::dense) return {ort::kTensorFloat, ort::kTensorFloat};
  return {ort::kTensorFloat, ort::kTensorInt32, ort::kTensorFloat};
}

void append(std::vector<int>* types, const std::vector<int>& more) {
  types->insert(types->end(), more.begin(), more.end());
}

Op make_conv_op(const char* name, Algorithm algorithm, bool residual,
                const Activation& activation) {
  std::vector<int> types = {ort::kTensorFloat};
  append(&types, payload_types(algorithm.form));
  if (residual) types.push_back(ort::kTensorFloat);
  Op op =
      make_op(std::string(name) + (residual ? "Add" : "") + activation.suffix, std::move(types));
  op.create = create_conv;
  op.algorithm = algorithm;
  op.activation = &activation;
  op.residual = residual;
  if (residual && op.sparse()) op.GetMayInplace = residual_may_become_output;
  op.infer = [](const Op& made, const Api& api, ort::ShapeInferContext* context) {
    infer_shape_of_conv(api, context, made.sparse());
  };
  return op;
}

Op make_pair_op(const char* name, Algorithm algorithm, const Activation& activation) {
  std::vector<int> types = {ort::kTensorFloat};
  for (int branch = 0; branch < 2; ++branch) append(&types, payload_types(algorithm.form));
  Op op = make_op(std::string(name) + activation.suffix, std::move(types));
  op.create = create_pair;
  op.algorithm = algorithm;
  op.activation = &activation;
  op.infer = [](const Op&, const Api& api, ort::ShapeInferContext* context) {
    infer_shape_of_pair(api, context);
  };
  return op;
}

// An op that turns one map into another.
Op make_map_op(const char* name,
               Kernel* (*create)(const Op& op, const Api& api, const ort::KernelInfo* info),
               void (*infer)(const Api& api, ort::ShapeInferContext* context)) {
  Op op = make_op(name, {ort::kTensorFloat});
  op.create = create;
  op.infer_map = infer;
  op.infer = [](const Op& made, const Api& api, ort::ShapeInferContext* context) {
    made.infer_map(api, context);
  };
  return op;
}

void add_conv_ops(const char* name, Algorithm algorithm, std::vector<Op>* ops) {
  for (const bool residual : {false, true}) {
    for (const Activation& activation : activations()) {
      ops->push_back(make_conv_op(name, algorithm, residual, activation));
    }
  }
}

void add_pair_ops(const char* name, Algorithm algorithm, std::vector<Op>* ops) {
  for (const Activation& activation : activations()) {
    ops->push_back(make_pair_op(name, algorithm, activation));
  }
}

const std::vector<Op>& all_ops() {
  static const auto& ops = *new const std::vector<Op>([] {
    std::vector<Op> made;
#define SP_CONV_OPS(name, algorithm, form) \
  add_conv_ops(#name, {&make_##algorithm, WeightForm::form}, &made);
#define SP_PAIR_OPS(name, algorithm, form) \
  add_pair_ops(#name, {&make_##algorithm, WeightForm::form}, &made);
#define SP_MAP_OP(name, create, infer) made.push_back(make_map_op(#name, create, infer));
#include "ort/ops.inc"
#undef SP_CONV_OPS
#undef SP_PAIR_OPS
#undef SP_MAP_OP
    return made;
  }());
  return ops;
}

// Whether the runtime takes ops that name inputs whose memory may become the output.
bool knows_reuse(const ort::ApiBase& base) {
  int major = 0, minor = 0;
  return std::sscanf(base.GetVersionString(), "%d.%d", &major, &minor) == 2 &&
         (major > 1 || minor >= static_cast<int>(ort::kReuseApiVersion));
}

ort::CustomOpDomain* make_domain(const Api& api, bool reuse, Isa isa, std::vector<Op>* ops) {
  ort::CustomOpDomain* out = nullptr;
  check(api, api.CreateCustomOpDomain()("ai.sparsepass", &out), "the domain cannot be created");
  *ops = all_ops();
  for (Op& op : *ops) {
    op.kernels = kernels_for(isa);
    if (reuse) op.version = ort::kReuseApiVersion;
    check(api, api.CustomOpDomain_Add()(out, &op), "an op cannot be added to the domain");
  }
  return out;
}

// One domain for all sessions of an instruction set: sessions keep pointers into it, so it is never
// released.
ort::CustomOpDomain* domain(const Api& api, bool reuse, Isa isa) {
  // Never destroyed: a session may be released while the process exits.
  static auto& mutex = *new std::mutex;
  static auto& ops = *new std::array<std::vector<Op>, kIsaCount>;
  static ort::CustomOpDomain* made[kIsaCount] = {};
  const std::lock_guard<std::mutex> lock(mutex);
  const int index = static_cast<int>(isa);
  if (!made[index]) made[index] = make_domain(api, reuse, isa, &ops[index]);
  return made[index];
}

bool has_entry(const Api& api, const ort::SessionOptions* options, const char* key) {
  int has = 0;
  check(api, api.HasSessionConfigEntry()(options, key, &has), "options are not usable");
  return has != 0;
}

// The widest instruction set that runs here, or a narrower one where the session asks for it.
Isa isa_of(const Api& api, const ort::SessionOptions* options) {
  constexpr const char* kKey = "ai.sparsepass.isa";
  if (!has_entry(api, options, kKey)) return best_isa();
  char wanted[16] = {};
  size_t size = sizeof(wanted);
  check(api, api.GetSessionConfigEntry()(options, kKey, wanted, &size),
        "the value of ai.sparsepass.isa names no instruction set");
  for (int i = 0; i <= static_cast<int>(best_isa()); ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (kernels_for(isa) && std::strcmp(wanted, isa_name(isa)) == 0) return isa;
  }
  throw OrtError(std::string("this machine does not run the instruction set '") + wanted +
                 "' of ai.sparsepass.isa");
}

}  // namespace
}  // namespace sparsepass

// What every ONNX Runtime binding looks for.  Registering twice with the same options does nothing;
// a runtime older than 1.17 is left alone, so that models run on their function bodies.
SP_EXPORT sparsepass::ort::Status* SP_ORT_CALL
RegisterCustomOps(sparsepass::ort::SessionOptions* options, const sparsepass::ort::ApiBase* base) {
  using namespace sparsepass;
  const ort::Api* api = base->GetApi(ort::kApiVersion);
  if (!api) return nullptr;
  g_api = api;
  const auto where = [] { return std::string("sparsepass"); };
  return guarded(*api, where, [&] {
    constexpr const char* kMark = "ai.sparsepass.registered";
    if (has_entry(*api, options, kMark)) return;
    const Isa isa = isa_of(*api, options);
    check(*api, api->AddCustomOpDomain()(options, domain(*api, knows_reuse(*base), isa)),
          "the domain cannot be added");
    check(*api, api->AddSessionConfigEntry()(options, kMark, "1"), "options are not usable");
  });
}

// The name of the widest instruction set that this machine runs.
SP_EXPORT const char* sparsepass_isa() { return sparsepass::isa_name(sparsepass::best_isa()); }

// Calls `visit` with the name of every op, for the test that compares them with the Python table.
SP_EXPORT void sparsepass_list_ops(void (*visit)(const char* name)) {
  for (const auto& op : sparsepass::all_ops()) visit(op.full_name.c_str());
}
