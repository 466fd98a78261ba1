// Long because each function of the table that the library uses is here once.
#include "fuzz/api.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace sparsepass {
namespace fuzz {
namespace {

using ort::Status;

constexpr int64_t kMostWork = int64_t{1} << 22;
constexpr size_t kMostScratchBytes = size_t{1} << 24;

Status* fail(const char* message) { return new Status{message}; }

const Attribute* attribute_of(const Case& node, const char* name, Attribute::Kind kind) {
  const Attribute* found = node.find(name);
  return found && found->kind == kind ? found : nullptr;
}

// Copies a text as ONNX Runtime does: the size alone where there is no room yet.
Status* copy_text(const std::string& text, char* out, size_t* size) {
  const size_t needed = text.size() + 1, room = *size;
  *size = needed;
  if (!out) return nullptr;
  if (room < needed) return fail("no room");
  std::memcpy(out, text.c_str(), needed);
  return nullptr;
}

// --- registration -------------------------------------------------------------------------------

Status* CreateStatus(int, const char* message) { return new Status{message}; }
void ReleaseStatus(Status* status) { delete status; }

// Never released: sessions keep pointers into it.
Status* CreateCustomOpDomain(const char*, ort::CustomOpDomain** out) {
  *out = new ort::CustomOpDomain;
  return nullptr;
}

Status* CustomOpDomain_Add(ort::CustomOpDomain* domain, const ort::CustomOp* op) {
  domain->ops.push_back(op);
  return nullptr;
}

Status* AddCustomOpDomain(ort::SessionOptions* options, ort::CustomOpDomain* domain) {
  options->domain = domain;
  return nullptr;
}

Status* AddSessionConfigEntry(ort::SessionOptions* options, const char* key, const char* value) {
  options->entries[key] = value;
  return nullptr;
}

Status* HasSessionConfigEntry(const ort::SessionOptions* options, const char* key, int* out) {
  *out = static_cast<int>(options->entries.count(key));
  return nullptr;
}

Status* GetSessionConfigEntry(const ort::SessionOptions* options, const char* key, char* out,
                              size_t* size) {
  return copy_text(options->entries.at(key), out, size);
}

// --- nodes --------------------------------------------------------------------------------------

Status* KernelInfoGetAttribute_float(const ort::KernelInfo* info, const char* name, float* out) {
  const Attribute* found = attribute_of(info->node, name, Attribute::kFloat);
  if (!found) return fail("no such attribute");
  *out = found->real;
  return nullptr;
}

Status* KernelInfoGetAttribute_int64(const ort::KernelInfo* info, const char* name, int64_t* out) {
  const Attribute* found = attribute_of(info->node, name, Attribute::kInt);
  if (!found) return fail("no such attribute");
  *out = found->ints[0];
  return nullptr;
}

Status* KernelInfoGetAttributeArray_int64(const ort::KernelInfo* info, const char* name,
                                          int64_t* out, size_t* size) {
  const Attribute* found = attribute_of(info->node, name, Attribute::kInts);
  if (!found) return fail("no such attribute");
  const size_t room = *size;
  *size = found->ints.size();
  if (!out) return nullptr;
  if (room < *size) return fail("no room");
  std::copy(found->ints.begin(), found->ints.end(), out);
  return nullptr;
}

Status* KernelInfo_GetNodeName(const ort::KernelInfo*, char* out, size_t* size) {
  return copy_text("fuzzed", out, size);
}

Status* KernelInfo_GetLogger(const ort::KernelInfo* info, const ort::Logger** out) {
  *out = info->session;
  return nullptr;
}

Status* KernelInfoGetConstantInput_tensor(const ort::KernelInfo* info, size_t index,
                                          int* is_constant, const ort::Value** out) {
  *is_constant = index < info->constants.size() && info->constants[index].data;
  *out = *is_constant ? &info->constants[index] : nullptr;
  return nullptr;
}

// Sizes that a graph declares are those fed or open ones.
Status* KernelInfo_GetInputTypeInfo(const ort::KernelInfo* info, size_t index,
                                    ort::TypeInfo** out) {
  if (index >= info->constants.size()) return fail("no such input");
  const ort::Value& input = info->constants[index];
  *out = new ort::TypeInfo{{input.type, input.dims}};
  if (info->node.at_end / 2 % 2 != 0) {
    std::fill((*out)->tensor.dims.begin(), (*out)->tensor.dims.end(), -1);
  }
  return nullptr;
}

void ReleaseTypeInfo(ort::TypeInfo* type) { delete type; }

// --- tensors ------------------------------------------------------------------------------------

Status* GetTensorMutableData(ort::Value* value, void** out) {
  *out = value->data;
  return nullptr;
}

Status* GetTensorTypeAndShape(const ort::Value* value, ort::TensorInfo** out) {
  *out = new ort::TensorInfo{value->type, value->dims};
  return nullptr;
}

Status* CastTypeInfoToTensorInfo(const ort::TypeInfo* type, const ort::TensorInfo** out) {
  *out = &type->tensor;
  return nullptr;
}

Status* CreateTensorTypeAndShapeInfo(ort::TensorInfo** out) {
  *out = new ort::TensorInfo{};
  return nullptr;
}

void ReleaseTensorTypeAndShapeInfo(ort::TensorInfo* info) { delete info; }

Status* SetTensorElementType(ort::TensorInfo* info, int type) {
  info->type = type;
  return nullptr;
}

Status* GetTensorElementType(const ort::TensorInfo* info, int* out) {
  *out = info->type;
  return nullptr;
}

Status* SetDimensions(ort::TensorInfo* info, const int64_t* dims, size_t count) {
  info->dims.assign(dims, dims + count);
  return nullptr;
}

Status* GetDimensionsCount(const ort::TensorInfo* info, size_t* out) {
  *out = info->dims.size();
  return nullptr;
}

Status* GetDimensions(const ort::TensorInfo* info, int64_t* dims, size_t count) {
  if (count < info->dims.size()) return fail("no room");
  std::copy(info->dims.begin(), info->dims.end(), dims);
  return nullptr;
}

// An open size has a name, but where it is -1.
Status* GetSymbolicDimensions(const ort::TensorInfo* info, const char** dims, size_t count) {
  for (size_t i = 0; i < std::min(count, info->dims.size()); ++i) {
    dims[i] = info->dims[i] < -1 ? "size" : "";
  }
  return nullptr;
}

Status* SetSymbolicDimensions(ort::TensorInfo*, const char** dims, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (std::strlen(dims[i]) > 999) return fail("a long name");
  }
  return nullptr;
}

// --- shape inference ----------------------------------------------------------------------------

Status* ShapeInferContext_GetInputTypeShape(const ort::ShapeInferContext* context, size_t index,
                                            ort::TensorInfo** out) {
  if (index >= context->inputs.size()) return fail("no such input");
  *out = const_cast<ort::TensorInfo*>(&context->inputs[index]);
  return nullptr;
}

Status* ShapeInferContext_GetAttribute(const ort::ShapeInferContext* context, const char* name,
                                       const ort::OpAttr** out) {
  auto* found = const_cast<ort::OpAttr*>(&context->attribute);
  found->attribute = attribute_of(context->node, name, Attribute::kInts);
  if (!found->attribute) return fail("no such attribute");
  *out = found;
  return nullptr;
}

Status* ShapeInferContext_SetOutputTypeShape(const ort::ShapeInferContext*, size_t,
                                             const ort::TensorInfo*) {
  return nullptr;
}

Status* ReadOpAttr(const ort::OpAttr* attribute, int, void* data, size_t bytes, size_t* out) {
  const std::vector<int64_t>& ints = attribute->attribute->ints;
  *out = ints.size() * sizeof(int64_t);
  if (*out > bytes) return fail("no room");
  std::copy(ints.begin(), ints.end(), static_cast<int64_t*>(data));
  return nullptr;
}

// --- runs ---------------------------------------------------------------------------------------

Status* KernelContext_GetInput(const ort::KernelContext* context, size_t index,
                               const ort::Value** out) {
  if (index >= context->inputs.size()) return fail("no such input");
  *out = &context->inputs[index];
  return nullptr;
}

Status* KernelContext_GetOutput(ort::KernelContext* context, size_t, const int64_t* dims,
                                size_t count, ort::Value** out) {
  ort::Value& made = context->output;
  made.dims.assign(dims, dims + count);
  const int64_t elements = count_elements(made.dims);
  const int64_t positions = elements <= 0 ? 0 : elements / std::max<int64_t>(1, made.dims[1]);
  if (elements < 0 || positions * context->work_of_position > kMostWork) return fail("too large");
  const ort::Value& residual = context->inputs.back();
  if (context->in_place && residual.dims == made.dims) {
    made.data = residual.data;
  } else {
    made.data = context->output_memory->place(static_cast<size_t>(elements) * 4, context->at_end);
    std::fill_n(static_cast<uint32_t*>(made.data), elements, kUnwritten);
  }
  *out = &made;
  return nullptr;
}

Status* CreateCpuMemoryInfo(int, int, ort::MemoryInfo** out) {
  *out = new ort::MemoryInfo;
  return nullptr;
}

void ReleaseMemoryInfo(ort::MemoryInfo* info) { delete info; }

Status* KernelContext_GetAllocator(const ort::KernelContext*, const ort::MemoryInfo*,
                                   ort::Allocator** out) {
  *out = new ort::Allocator;
  return nullptr;
}

void ReleaseAllocator(ort::Allocator* allocator) { delete allocator; }

Status* AllocatorAlloc(ort::Allocator*, size_t bytes, void** out) {
  if (bytes > kMostScratchBytes) return fail("out of memory");
  *out = std::malloc(bytes);
  // What was not written must not matter.
  if (*out) std::memset(*out, 0xFF, bytes);
  return nullptr;
}

Status* AllocatorFree(ort::Allocator*, void* memory) {
  std::free(memory);
  return nullptr;
}

Status* KernelContext_ParallelFor(const ort::KernelContext* context, void (*task)(void*, size_t),
                                  size_t count, size_t, void* data) {
  const auto run_every_second = [&](size_t first) {
    for (size_t i = first; i < count; i += 2) task(data, i);
  };
  if (context->parallel) {
    std::thread other(run_every_second, 1);
    run_every_second(0);
    other.join();
  } else {
    // Later tasks first: none may depend on another.
    for (size_t i = count; i-- > 0;) task(data, i);
  }
  return nullptr;
}

}  // namespace

const ort::Api& api() {
  static void* slots[sizeof(ort::Api) / sizeof(void*)] = {};
#define SP_ORT_SLOT(slot, name, result, parameters) \
  slots[slot] = reinterpret_cast<void*>(static_cast<ort::Api::name##_t>(&name));
  static const bool filled = [] {
    SP_ORT_SLOTS(SP_ORT_SLOT)
    return true;
  }();
#undef SP_ORT_SLOT
  static_cast<void>(filled);
  return *reinterpret_cast<const ort::Api*>(slots);
}

const ort::ApiBase& api_base() {
  static const ort::ApiBase base = {[](uint32_t) { return &api(); }, []() { return "1.18.0"; }};
  return base;
}

int64_t count_elements(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  bool empty = false;
  for (const int64_t dim : dims) {
    if (dim < 0) return -1;
    empty = empty || dim == 0;
  }
  if (empty) return 0;
  for (const int64_t dim : dims) {
    if (dim > kMostElements || (count *= dim) > kMostElements) return -1;
  }
  return count;
}

}  // namespace fuzz
}  // namespace sparsepass
