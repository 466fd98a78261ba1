// The node of a case in a session: its constants, its kernel and a run of it.
#ifndef SPARSEPASS_FUZZ_NODE_H_
#define SPARSEPASS_FUZZ_NODE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fuzz/api.h"
#include "fuzz/case.h"
#include "ort/kernels.h"

namespace sparsepass {
namespace fuzz {

// To call first: opens the two sessions of all nodes, of one thread and of two.
void keep_sessions();

// Every op that the library registers for an instruction set of this machine, which is taken modulo
// their number.
const std::vector<const ort::CustomOp*>& registered_ops(int isa);

// The op that a case names, or null.
const ort::CustomOp* find_op(const Case& given);

// What the library knows of an op: whether it is a convolution, and of which weight.
const Op& as_op(const ort::CustomOp* op);

class Node {
 public:
  // The case outlives the node.
  explicit Node(const Case& given);

  // Whether a session could ask the library for it: the op is there, constants are not too large.
  bool is_possible() const { return op_ && fits_; }
  void infer_shape() const;
  // False where the library refuses the node.
  bool create();
  // False where the library refuses the input, or it is larger than fuzzing takes.  Ends the
  // process where something is written beside the output, or a part of the output is not written.
  // May be called from several threads at once.
  bool run(bool parallel) const;

 private:
  const Case& given_;
  const ort::CustomOp* op_;
  bool fits_ = true;
  std::vector<std::vector<uint32_t>> data_;
  std::vector<ort::Value> constants_;
  int64_t elements_ = 1;
  std::unique_ptr<void, void (*)(void*)> kernel_{nullptr, [](void*) {}};
};

}  // namespace fuzz
}  // namespace sparsepass

#endif  // SPARSEPASS_FUZZ_NODE_H_
