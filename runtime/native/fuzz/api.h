// What looks like ONNX Runtime to the library: the functions that it calls, for one node of a case.
//
// The types that ort/abi.h leaves open are defined here.  All that the library has to release is
// allocated, so that a sanitizer finds what it does not.
#ifndef SPARSEPASS_FUZZ_API_H_
#define SPARSEPASS_FUZZ_API_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fuzz/case.h"
#include "fuzz/memory.h"
#include "ort/abi.h"

namespace sparsepass {
namespace ort {

struct Status {
  std::string message;
};

struct CustomOpDomain {
  std::vector<const CustomOp*> ops;
};

struct SessionOptions {
  std::map<std::string, std::string> entries;
  const CustomOpDomain* domain;
};

// One for each session.
struct Logger {};

struct OpAttr {
  const fuzz::Attribute* attribute;
};

struct Value {
  int type;
  std::vector<int64_t> dims;
  void* data;
};

struct TensorInfo {
  int type;
  std::vector<int64_t> dims;
};

struct TypeInfo {
  TensorInfo tensor;
};

struct MemoryInfo {};
struct Allocator {};

struct KernelInfo {
  const fuzz::Case& node;
  std::vector<Value>& constants;  // by input; the others have no data
  const Logger* session;
};

struct ShapeInferContext {
  const fuzz::Case& node;
  std::vector<TensorInfo> inputs;
  OpAttr attribute;
};

struct KernelContext {
  std::vector<Value> inputs;
  Value output;
  fuzz::GuardedArray* output_memory;
  int64_t work_of_position;  // multiplications for each position of the output, at most
  bool at_end, in_place, parallel;
};

}  // namespace ort

namespace fuzz {

constexpr int64_t kMostElements = kMostArrayBytes / 4;
// Words of which an output consists until they are written.
constexpr uint32_t kUnwritten = 0x7FA5A5A5;

const ort::Api& api();
const ort::ApiBase& api_base();

// The product of sizes, or -1 where one is negative or there are more than kMostElements.
int64_t count_elements(const std::vector<int64_t>& dims);

}  // namespace fuzz
}  // namespace sparsepass

#endif  // SPARSEPASS_FUZZ_API_H_
