// The activations that ops end in.
#ifndef SPARSEPASS_ORT_ACTIVATIONS_H_
#define SPARSEPASS_ORT_ACTIVATIONS_H_

#include <vector>

#include "base/convolution.h"
#include "ort/node.h"

namespace sparsepass {

struct Activation {
  // How the names of ops with it end.
  const char* suffix;
  // What it does, from the attributes of a node.
  Epilogue (*epilogue)(const NodeReader& node);
};

const std::vector<Activation>& activations();

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_ACTIVATIONS_H_
