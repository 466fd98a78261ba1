#include "ort/activations.h"

#include <limits>

namespace sparsepass {

const std::vector<Activation>& activations() {
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();
  static const std::vector<Activation> rows = {
      {"",
       [](const NodeReader&) -> Epilogue {
         return {1, -kInfinity, kInfinity, SmoothActivation::none};
       }},
      {"Relu",
       [](const NodeReader&) -> Epilogue { return {1, 0, kInfinity, SmoothActivation::none}; }},
      {"Clip",
       [](const NodeReader& node) -> Epilogue {
         return {1, node.real("min"), node.real("max"), SmoothActivation::none};
       }},
      {"LeakyRelu",
       [](const NodeReader& node) -> Epilogue {
         return {node.real("alpha"), -kInfinity, kInfinity, SmoothActivation::none};
       }},
      {"HardSwish",
       [](const NodeReader&) -> Epilogue {
         return {1, -kInfinity, kInfinity, SmoothActivation::hard_swish};
       }},
      {"Silu",
       [](const NodeReader&) -> Epilogue {
         return {1, -kInfinity, kInfinity, SmoothActivation::silu};
       }},
  };
  return rows;
}

}  // namespace sparsepass
