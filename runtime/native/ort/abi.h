// The part of ONNX Runtime's C ABI that this library uses, declared by hand.
//
// The wheels ship no headers.  The ABI only ever grows: a function keeps its slot in the OrtApi
// table, and OrtCustomOp keeps its fields.  Slots and offsets are those of API version 17
// (onnxruntime 1.17).
#ifndef SPARSEPASS_ORT_ABI_H_
#define SPARSEPASS_ORT_ABI_H_

#include <cstddef>
#include <cstdint>

#if defined(_WIN32)
#define SP_ORT_CALL __stdcall
#else
#define SP_ORT_CALL
#endif

namespace sparsepass {
namespace ort {

constexpr uint32_t kApiVersion = 17;
// The first one whose runtimes ask ops for GetMayInplace.
constexpr uint32_t kReuseApiVersion = 18;
constexpr int kFail = 1, kInvalidArgument = 2;
constexpr int kTensorFloat = 1, kTensorInt32 = 6;
constexpr int kAttributeInt = 1, kAttributeInts = 2;
constexpr int kRequired = 0;
constexpr int kArenaAllocator = 1, kDefaultMemory = 0;

struct Status;
struct SessionOptions;
struct CustomOpDomain;
struct KernelInfo;
struct KernelContext;
struct ShapeInferContext;
struct Value;
struct TypeInfo;
struct TensorInfo;  // OrtTensorTypeAndShapeInfo
struct OpAttr;
struct MemoryInfo;
struct Allocator;
struct Logger;

// Every slot used, once: SP_ORT_SLOT(slot, name, result, parameters).
#define SP_ORT_SLOTS(SP_ORT_SLOT)                                                                  \
  SP_ORT_SLOT(0, CreateStatus, Status*, (int code, const char* message))                           \
  SP_ORT_SLOT(26, CreateCustomOpDomain, Status*, (const char* domain, CustomOpDomain** out))       \
  SP_ORT_SLOT(27, CustomOpDomain_Add, Status*,                                                     \
              (CustomOpDomain * domain, const struct CustomOp* op))                                \
  SP_ORT_SLOT(28, AddCustomOpDomain, Status*, (SessionOptions * options, CustomOpDomain * domain)) \
  SP_ORT_SLOT(51, GetTensorMutableData, Status*, (Value * value, void** out))                      \
  SP_ORT_SLOT(55, CastTypeInfoToTensorInfo, Status*,                                               \
              (const TypeInfo* type, const TensorInfo** out))                                      \
  SP_ORT_SLOT(57, CreateTensorTypeAndShapeInfo, Status*, (TensorInfo * *out))                      \
  SP_ORT_SLOT(58, SetTensorElementType, Status*, (TensorInfo * info, int type))                    \
  SP_ORT_SLOT(59, SetDimensions, Status*, (TensorInfo * info, const int64_t* dims, size_t count))  \
  SP_ORT_SLOT(60, GetTensorElementType, Status*, (const TensorInfo* info, int* out))               \
  SP_ORT_SLOT(61, GetDimensionsCount, Status*, (const TensorInfo* info, size_t* out))              \
  SP_ORT_SLOT(62, GetDimensions, Status*, (const TensorInfo* info, int64_t* dims, size_t count))   \
  SP_ORT_SLOT(63, GetSymbolicDimensions, Status*,                                                  \
              (const TensorInfo* info, const char** dims, size_t count))                           \
  SP_ORT_SLOT(65, GetTensorTypeAndShape, Status*, (const Value* value, TensorInfo** out))          \
  SP_ORT_SLOT(69, CreateCpuMemoryInfo, Status*, (int allocator, int memory, MemoryInfo** out))     \
  SP_ORT_SLOT(75, AllocatorAlloc, Status*, (Allocator * allocator, size_t bytes, void** out))      \
  SP_ORT_SLOT(76, AllocatorFree, Status*, (Allocator * allocator, void* memory))                   \
  SP_ORT_SLOT(85, KernelInfoGetAttribute_float, Status*,                                           \
              (const KernelInfo* info, const char* name, float* out))                              \
  SP_ORT_SLOT(86, KernelInfoGetAttribute_int64, Status*,                                           \
              (const KernelInfo* info, const char* name, int64_t* out))                            \
  SP_ORT_SLOT(90, KernelContext_GetInput, Status*,                                                 \
              (const KernelContext* context, size_t index, const Value** out))                     \
  SP_ORT_SLOT(                                                                                     \
      91, KernelContext_GetOutput, Status*,                                                        \
      (KernelContext * context, size_t index, const int64_t* dims, size_t count, Value** out))     \
  SP_ORT_SLOT(93, ReleaseStatus, void, (Status * status))                                          \
  SP_ORT_SLOT(94, ReleaseMemoryInfo, void, (MemoryInfo * info))                                    \
  SP_ORT_SLOT(98, ReleaseTypeInfo, void, (TypeInfo * type))                                        \
  SP_ORT_SLOT(99, ReleaseTensorTypeAndShapeInfo, void, (TensorInfo * info))                        \
  SP_ORT_SLOT(130, AddSessionConfigEntry, Status*,                                                 \
              (SessionOptions * options, const char* key, const char* value))                      \
  SP_ORT_SLOT(132, ReleaseAllocator, void, (Allocator * allocator))                                \
  SP_ORT_SLOT(163, KernelInfoGetAttributeArray_int64, Status*,                                     \
              (const KernelInfo* info, const char* name, int64_t* out, size_t* size))              \
  SP_ORT_SLOT(234, KernelInfo_GetInputTypeInfo, Status*,                                           \
              (const KernelInfo* info, size_t index, TypeInfo** out))                              \
  SP_ORT_SLOT(237, HasSessionConfigEntry, Status*,                                                 \
              (const SessionOptions* options, const char* key, int* out))                          \
  SP_ORT_SLOT(238, GetSessionConfigEntry, Status*,                                                 \
              (const SessionOptions* options, const char* key, char* out, size_t* size))           \
  SP_ORT_SLOT(244, KernelInfo_GetNodeName, Status*,                                                \
              (const KernelInfo* info, char* out, size_t* size))                                   \
  SP_ORT_SLOT(245, KernelInfo_GetLogger, Status*, (const KernelInfo* info, const Logger** out))    \
  SP_ORT_SLOT(249, KernelInfoGetConstantInput_tensor, Status*,                                     \
              (const KernelInfo* info, size_t index, int* is_constant, const Value** out))         \
  SP_ORT_SLOT(253, KernelContext_GetAllocator, Status*,                                            \
              (const KernelContext* context, const MemoryInfo* info, Allocator** out))             \
  SP_ORT_SLOT(268, ShapeInferContext_GetInputTypeShape, Status*,                                   \
              (const ShapeInferContext* context, size_t index, TensorInfo** out))                  \
  SP_ORT_SLOT(269, ShapeInferContext_GetAttribute, Status*,                                        \
              (const ShapeInferContext* context, const char* name, const OpAttr** out))            \
  SP_ORT_SLOT(270, ShapeInferContext_SetOutputTypeShape, Status*,                                  \
              (const ShapeInferContext* context, size_t index, const TensorInfo* info))            \
  SP_ORT_SLOT(271, SetSymbolicDimensions, Status*,                                                 \
              (TensorInfo * info, const char** dims, size_t count))                                \
  SP_ORT_SLOT(272, ReadOpAttr, Status*,                                                            \
              (const OpAttr* attribute, int type, void* data, size_t bytes, size_t* out))          \
  SP_ORT_SLOT(274, KernelContext_ParallelFor, Status*,                                             \
              (const KernelContext* context, void (*task)(void*, size_t), size_t count,            \
               size_t batches, void* data))

// The function table: an array of pointers, addressed by slot.
class Api {
 public:
#define SP_ORT_SLOT(slot, name, result, parameters) \
  using name##_t = result(SP_ORT_CALL*) parameters; \
  name##_t name() const { return reinterpret_cast<name##_t>(slots_[slot]); }
  SP_ORT_SLOTS(SP_ORT_SLOT)
#undef SP_ORT_SLOT

 private:
  void* slots_[275];  // up to the last one used
};

struct ApiBase {
  const Api*(SP_ORT_CALL* GetApi)(uint32_t version);
  const char*(SP_ORT_CALL* GetVersionString)();
};

// A custom op as ONNX Runtime reads it: 208 bytes of callbacks.
struct CustomOp {
  uint32_t version;
  void*(SP_ORT_CALL* CreateKernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char*(SP_ORT_CALL* GetName)(const CustomOp*);
  const char*(SP_ORT_CALL* GetExecutionProviderType)(const CustomOp*);
  int(SP_ORT_CALL* GetInputType)(const CustomOp*, size_t);
  size_t(SP_ORT_CALL* GetInputTypeCount)(const CustomOp*);
  int(SP_ORT_CALL* GetOutputType)(const CustomOp*, size_t);
  size_t(SP_ORT_CALL* GetOutputTypeCount)(const CustomOp*);
  void(SP_ORT_CALL* KernelCompute)(void*, KernelContext*);
  void(SP_ORT_CALL* KernelDestroy)(void*);
  int(SP_ORT_CALL* GetInputCharacteristic)(const CustomOp*, size_t);
  int(SP_ORT_CALL* GetOutputCharacteristic)(const CustomOp*, size_t);
  int(SP_ORT_CALL* GetInputMemoryType)(const CustomOp*, size_t);
  int(SP_ORT_CALL* GetVariadicInputMinArity)(const CustomOp*);
  int(SP_ORT_CALL* GetVariadicInputHomogeneity)(const CustomOp*);
  int(SP_ORT_CALL* GetVariadicOutputMinArity)(const CustomOp*);
  int(SP_ORT_CALL* GetVariadicOutputHomogeneity)(const CustomOp*);
  Status*(SP_ORT_CALL* CreateKernelV2)(const CustomOp*, const Api*, const KernelInfo*, void**);
  Status*(SP_ORT_CALL* KernelComputeV2)(void*, KernelContext*);
  Status*(SP_ORT_CALL* InferOutputShapeFn)(const CustomOp*, ShapeInferContext*);
  int(SP_ORT_CALL* GetStartVersion)(const CustomOp*);
  int(SP_ORT_CALL* GetEndVersion)(const CustomOp*);
  size_t(SP_ORT_CALL* GetMayInplace)(int**, int**);
  void(SP_ORT_CALL* ReleaseMayInplace)(int*, int*);
  size_t(SP_ORT_CALL* GetAliasMap)(int**, int**);
  void(SP_ORT_CALL* ReleaseAliasMap)(int*, int*);
};

static_assert(sizeof(void*) != 8 || sizeof(CustomOp) == 208, "OrtCustomOp has 208 bytes");
static_assert(sizeof(void*) != 8 || offsetof(CustomOp, CreateKernelV2) == 136, "see header");
static_assert(sizeof(void*) != 8 || offsetof(CustomOp, InferOutputShapeFn) == 152, "see header");
static_assert(sizeof(void*) != 8 || offsetof(CustomOp, GetMayInplace) == 176, "see header");

}  // namespace ort
}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_ABI_H_
