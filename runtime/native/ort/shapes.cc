#include "ort/shapes.h"

#include <array>
#include <string>
#include <vector>

#include "conv/conv.h"
#include "ort/error.h"
#include "ort/node.h"

namespace sparsepass {
namespace {

// Holds a TensorInfo of our own and releases it.
class OwnedInfo {
 public:
  OwnedInfo(const ort::Api& api, ort::TensorInfo* info) : api_(api), info_(info) {}
  ~OwnedInfo() { api_.ReleaseTensorTypeAndShapeInfo()(info_); }
  OwnedInfo(const OwnedInfo&) = delete;
  OwnedInfo& operator=(const OwnedInfo&) = delete;
  ort::TensorInfo* get() const { return info_; }

 private:
  const ort::Api& api_;
  ort::TensorInfo* info_;
};

std::vector<int64_t> attribute_ints(const ort::Api& api, ort::ShapeInferContext* context,
                                    const char* name) {
  const ort::OpAttr* attribute = nullptr;
  check(api, api.ShapeInferContext_GetAttribute()(context, name, &attribute),
        "an attribute is missing");
  int64_t values[8];
  size_t bytes = 0;
  check(api, api.ReadOpAttr()(attribute, ort::kAttributeInts, values, sizeof(values), &bytes),
        "an attribute has too many values");
  return {values, values + bytes / sizeof(int64_t)};
}

// The context owns what it returns.
const ort::TensorInfo* input_info(const ort::Api& api, ort::ShapeInferContext* context,
                                  size_t index) {
  ort::TensorInfo* info = nullptr;
  check(api, api.ShapeInferContext_GetInputTypeShape()(context, index, &info),
        "an input has no shape");
  return info;
}

std::vector<int64_t> dimensions(const ort::Api& api, const ort::TensorInfo* info) {
  size_t rank = 0;
  check(api, api.GetDimensionsCount()(info, &rank), "an input has no shape");
  std::vector<int64_t> dims(rank);
  check(api, api.GetDimensions()(info, dims.data(), rank), "an input has no shape");
  return dims;
}

// The name of an output size, from that of the input size and what padding adds to and the kernel
// takes off it: equal names are equal sizes.  Empty where the input has none.
std::string size_name(const std::string& input, int64_t added, int64_t stride) {
  if (input.empty() || (added == -1 && stride == 1)) return input;
  return "(" + input + (added < 0 ? "" : "+") + std::to_string(added) + ")/" +
         std::to_string(stride) + "+1";
}

// Sizes below 0 go by their names.  ONNX Runtime would take one without a name for a number, so
// that no shape is better.
void set_output_shape(const ort::Api& api, ort::ShapeInferContext* context,
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

// Windows along one axis: (size of the input + added) / stride + 1 of them.
struct Windows {
  int64_t added, stride;
};

constexpr int64_t kOfInput = -1;
// The kernel refuses larger maps when it runs.
constexpr int64_t kMostSize = int64_t{1} << 31;

// `channels` may be kOfInput.  The input has four dimensions.
void set_windowed_shape(const ort::Api& api, ort::ShapeInferContext* context,
                        const ort::TensorInfo* x, int64_t channels, Windows rows, Windows columns) {
  const std::vector<int64_t> dims = dimensions(api, x);
  std::vector<const char*> symbols(4, "");
  check(api, api.GetSymbolicDimensions()(x, symbols.data(), 4), "no symbolic shape");
  const auto size = [&](int axis, Windows w) {
    const bool known = dims[axis] >= 0 && dims[axis] < kMostSize;
    return known ? (dims[axis] + w.added) / w.stride + 1 : -1;
  };
  const std::string row_name = size_name(symbols[2], rows.added, rows.stride);
  const std::string column_name = size_name(symbols[3], columns.added, columns.stride);
  set_output_shape(
      api, context,
      {dims[0], channels == kOfInput ? dims[1] : channels, size(2, rows), size(3, columns)},
      {symbols[0], symbols[1], row_name.c_str(), column_name.c_str()});
}

// A convolution's output, with channels of another one behind its own.
void infer_convolution(const ort::Api& api, ort::ShapeInferContext* context,
                       const std::vector<int64_t>& w_shape, int64_t more_filters) {
  const ort::TensorInfo* x = input_info(api, context, 0);
  if (dimensions(api, x).size() != 4) return;  // unknown: the kernel checks when it runs
  ConvParams params;
  fill_shape(w_shape, attribute_ints(api, context, "strides"),
             attribute_ints(api, context, "dilations"), attribute_ints(api, context, "pads"), 1,
             &params);
  const ConvParams& p = params;
  set_windowed_shape(api, context, x, p.filters + more_filters,
                     {p.pad_top + p.pad_bottom - p.dilation_h * (p.kernel_h - 1) - 1, p.stride_h},
                     {p.pad_left + p.pad_right - p.dilation_w * (p.kernel_w - 1) - 1, p.stride_w});
}

}  // namespace

void infer_shape_of_input(const ort::Api& api, ort::ShapeInferContext* context) {
  const ort::TensorInfo* x = input_info(api, context, 0);
  const std::vector<int64_t> dims = dimensions(api, x);
  if (dims.size() != 4) return;  // unknown: the kernel checks when it runs
  std::array<const char*, 4> symbols = {"", "", "", ""};
  check(api, api.GetSymbolicDimensions()(x, symbols.data(), 4), "no symbolic shape");
  set_output_shape(api, context, {dims[0], dims[1], dims[2], dims[3]}, symbols);
}

void infer_shape_of_conv(const ort::Api& api, ort::ShapeInferContext* context, bool sparse) {
  const std::vector<int64_t> w_shape = sparse ? attribute_ints(api, context, "w_shape")
                                              : dimensions(api, input_info(api, context, 1));
  infer_convolution(api, context, w_shape, 0);
}

void infer_shape_of_pair(const ort::Api& api, ort::ShapeInferContext* context) {
  const std::vector<int64_t> second = attribute_ints(api, context, "w_shape2");
  if (second.empty() || second[0] < 0 || second[0] >= int64_t{1} << 31) {
    throw OrtError("w_shape2 is no shape of a weight");
  }
  infer_convolution(api, context, attribute_ints(api, context, "w_shape"), second[0]);
}

void infer_shape_of_pool(const ort::Api& api, ort::ShapeInferContext* context) {
  const ort::TensorInfo* x = input_info(api, context, 0);
  if (dimensions(api, x).size() != 4) return;  // unknown: the kernel checks when it runs
  const PoolParams p =
      pool_params(attribute_ints(api, context, "kernel_shape"),
                  attribute_ints(api, context, "strides"), attribute_ints(api, context, "pads"));
  set_windowed_shape(api, context, x, kOfInput, {p.pad_top + p.pad_bottom - p.kernel_h, p.stride_h},
                     {p.pad_left + p.pad_right - p.kernel_w, p.stride_w});
}

}  // namespace sparsepass
