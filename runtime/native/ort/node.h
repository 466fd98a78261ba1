// What a node of the graph holds: attributes, constant inputs, its name.
#ifndef SPARSEPASS_ORT_NODE_H_
#define SPARSEPASS_ORT_NODE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "conv/conv.h"
#include "feature_maps/pool.h"
#include "ort/abi.h"

namespace sparsepass {

// Everything throws OrtError where the node lacks it.
class NodeReader {
 public:
  NodeReader(const ort::Api& api, const ort::KernelInfo* info) : api_(api), info_(info) {}

  std::vector<int64_t> ints(const char* name) const;
  float real(const char* name) const;
  int64_t integer(const char* name) const;
  // A constant input of `type`; `dims` gets its shape.
  const void* constant(size_t index, int type, const char* name, std::vector<int64_t>* dims) const;
  // Empty where there is none.
  std::string node_name() const;
  // What the model declares of an input, open dimensions as -1; empty where it declares no shape.
  std::vector<int64_t> declared_shape(size_t index) const;

 private:
  const ort::Api& api_;
  const ort::KernelInfo* info_;
};

int64_t elements(const std::vector<int64_t>& dims);

// Fills `params` from a weight's shape and the attributes of its convolution.
void fill_shape(const std::vector<int64_t>& w_shape, const std::vector<int64_t>& strides,
                const std::vector<int64_t>& dilations, const std::vector<int64_t>& pads,
                int64_t group, ConvParams* params);

// The attributes of a pool.
PoolParams pool_params(const std::vector<int64_t>& kernel, const std::vector<int64_t>& strides,
                       const std::vector<int64_t>& pads);

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_NODE_H_
