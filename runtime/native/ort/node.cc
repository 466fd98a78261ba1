#include "ort/node.h"

#include "base/arithmetic.h"
#include "conv/payload.h"
#include "ort/error.h"

namespace sparsepass {

std::vector<int64_t> NodeReader::ints(const char* name) const {
  size_t size = 0;
  check(api_, api_.KernelInfoGetAttributeArray_int64()(info_, name, nullptr, &size),
        "an attribute is missing or is no list of integers; export the model again");
  std::vector<int64_t> values(size);
  check(api_, api_.KernelInfoGetAttributeArray_int64()(info_, name, values.data(), &size),
        "an attribute cannot be read");
  return values;
}

float NodeReader::real(const char* name) const {
  float value;
  check(api_, api_.KernelInfoGetAttribute_float()(info_, name, &value),
        "a float attribute is missing; export the model again");
  return value;
}

int64_t NodeReader::integer(const char* name) const {
  int64_t value;
  check(api_, api_.KernelInfoGetAttribute_int64()(info_, name, &value),
        "an integer attribute is missing; export the model again");
  return value;
}

const void* NodeReader::constant(size_t index, int type, const char* name,
                                 std::vector<int64_t>* dims) const {
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

std::string NodeReader::node_name() const {
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

std::vector<int64_t> NodeReader::declared_shape(size_t index) const {
  ort::TypeInfo* type = nullptr;
  const ort::TensorInfo* info = nullptr;
  size_t rank = 0;
  std::vector<int64_t> dims;
  ort::Status* status = api_.KernelInfo_GetInputTypeInfo()(info_, index, &type);
  if (!status) status = api_.CastTypeInfoToTensorInfo()(type, &info);
  if (!status && info) status = api_.GetDimensionsCount()(info, &rank);
  dims.resize(rank);
  if (!status && info) status = api_.GetDimensions()(info, dims.data(), rank);
  if (type) api_.ReleaseTypeInfo()(type);
  if (!status) return dims;
  api_.ReleaseStatus()(status);
  return {};
}

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
  *params = {w_shape[0],   w_shape[1],   group,   w_shape[2], w_shape[3], strides[0], strides[1],
             dilations[0], dilations[1], pads[0], pads[1],    pads[2],    pads[3]};
  const std::string error = check_params(*params);
  if (!error.empty()) throw OrtError(error);
}

PoolParams pool_params(const std::vector<int64_t>& kernel, const std::vector<int64_t>& strides,
                       const std::vector<int64_t>& pads) {
  if (kernel.size() != 2 || strides.size() != 2 || pads.size() != 4) {
    throw OrtError("kernel_shape and strides must have 2 values, pads 4");
  }
  const PoolParams params = {kernel[0], kernel[1], strides[0], strides[1],
                             pads[0],   pads[1],   pads[2],    pads[3]};
  const std::string error = check_pool(params);
  if (!error.empty()) throw OrtError(error);
  return params;
}

}  // namespace sparsepass
