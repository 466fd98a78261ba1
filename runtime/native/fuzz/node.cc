#include "fuzz/node.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/export.h"
#include "base/machine.h"

SP_EXPORT sparsepass::ort::Status* SP_ORT_CALL
RegisterCustomOps(sparsepass::ort::SessionOptions* options, const sparsepass::ort::ApiBase* base);

namespace sparsepass {
namespace fuzz {
namespace {

// True where there was none.
bool succeeded(ort::Status* status) {
  const bool none = !status;
  delete status;
  return none;
}

std::vector<const ort::CustomOp*> register_ops(Isa isa) {
  ort::SessionOptions options = {{{"ai.sparsepass.isa", isa_name(isa)}}, nullptr};
  if (!succeeded(RegisterCustomOps(&options, &api_base()))) std::abort();
  return options.domain->ops;
}

// Sessions of one thread and of two.
const ort::Logger* session(int threads) {
  static const ort::Logger loggers[2] = {};
  return &loggers[threads % 2];
}

std::vector<uint32_t> repeated(const std::vector<uint32_t>& words, int64_t count) {
  std::vector<uint32_t> made(static_cast<size_t>(count));
  for (size_t i = 0; i < made.size() && !words.empty(); ++i) made[i] = words[i % words.size()];
  return made;
}

void end_if_unwritten(const ort::Value& output) {
  const auto* words = static_cast<const uint32_t*>(output.data);
  const int64_t count = count_elements(output.dims);
  if (std::find(words, words + count, kUnwritten) == words + count) return;
  std::fprintf(stderr, "a kernel left a part of its output unwritten\n");
  std::abort();
}

// A pool that keeps a session alive, and on whose runs its threads are counted.
void keep_session(uint8_t threads) {
  const auto ints = [](const char* name, size_t count, int64_t value) -> Attribute {
    return {name, Attribute::kInts, std::vector<int64_t>(count, value), 0};
  };
  static Case pools[2];
  Case& pool = pools[threads];
  pool.threads = threads;
  pool.op = "MaxPool2d";
  pool.attributes = {ints("kernel_shape", 2, 1), ints("strides", 2, 1), ints("pads", 4, 0)};
  pool.inputs = {{false, ort::kTensorFloat, {1, 1, 1, 1}, {0}}};
  static std::vector<std::unique_ptr<Node>> kept;
  kept.push_back(std::make_unique<Node>(pool));
  if (!kept.back()->create()) std::abort();
  for (int run = 0; run < 16; ++run) kept.back()->run(threads != 0);
}

}  // namespace

void keep_sessions() {
  for (const uint8_t threads : {0, 1}) keep_session(threads);
}

const std::vector<const ort::CustomOp*>& registered_ops(int isa) {
  static const auto all = [] {
    std::vector<std::vector<const ort::CustomOp*>> made;
    for (int i = 0; i <= static_cast<int>(best_isa()); ++i) {
      made.push_back(register_ops(static_cast<Isa>(i)));
    }
    return made;
  }();
  return all[static_cast<size_t>(isa) % all.size()];
}

const ort::CustomOp* find_op(const Case& given) {
  for (const ort::CustomOp* op : registered_ops(given.isa)) {
    if (given.op == op->GetName(op)) return op;
  }
  return nullptr;
}

const Op& as_op(const ort::CustomOp* op) { return *static_cast<const Op*>(op); }

Node::Node(const Case& given) : given_(given), op_(find_op(given)) {
  for (const Input& input : given.inputs) {
    const int64_t count = input.constant ? count_elements(input.dims) : 0;
    fits_ = fits_ && count >= 0;
    data_.push_back(repeated(input.words, std::max<int64_t>(count, 0)));
    // A tensor without elements may have no data, but it is there.
    static uint32_t none = 0;
    void* data = count > 0 ? data_.back().data() : &none;
    constants_.push_back({input.type, input.dims, input.constant ? data : nullptr});
    elements_ += std::max<int64_t>(count, 0);
  }
}

void Node::infer_shape() const {
  ort::ShapeInferContext context = {given_, {}, {}};
  for (const Input& input : given_.inputs) context.inputs.push_back({input.type, input.dims});
  succeeded(op_->InferOutputShapeFn(op_, &context));
}

bool Node::create() {
  const ort::KernelInfo info = {given_, constants_, session(given_.threads)};
  void* kernel = nullptr;
  if (!succeeded(op_->CreateKernelV2(op_, &api(), &info, &kernel))) return false;
  kernel_ = {kernel, op_->KernelDestroy};
  return true;
}

bool Node::run(bool parallel) const {
  static thread_local GuardedArray memory[3];
  ort::KernelContext context = {};
  context.output_memory = &memory[2];
  context.work_of_position = elements_;
  context.at_end = given_.at_end % 2 != 0;
  context.parallel = parallel;
  int fed = 0;
  for (size_t i = 0; i < given_.inputs.size(); ++i) {
    const Input& input = given_.inputs[i];
    ort::Value value = constants_[i];
    if (!input.constant) {
      const int64_t count = count_elements(input.dims);
      if (count < 0 || fed == 2) return false;
      value.data = memory[fed++].place(static_cast<size_t>(count) * 4, context.at_end);
      const std::vector<uint32_t> words = repeated(input.words, count);
      if (count > 0) std::memcpy(value.data, words.data(), words.size() * 4);
    }
    context.inputs.push_back(std::move(value));
  }
  // A session feeds every input of the signature.
  if (context.inputs.size() != op_->GetInputTypeCount(op_)) return false;
  int *reused = nullptr, *target = nullptr;
  context.in_place = given_.in_place % 2 != 0 && !given_.inputs.back().constant &&
                     op_->GetMayInplace(&reused, &target) > 0;
  const bool ran = succeeded(op_->KernelComputeV2(kernel_.get(), &context));
  for (const GuardedArray& array : memory) array.check();
  if (ran) end_if_unwritten(context.output);
  return ran;
}

}  // namespace fuzz
}  // namespace sparsepass
