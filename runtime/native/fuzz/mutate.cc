#include "fuzz/mutate.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "conv/conv.h"
#include "fuzz/node.h"

namespace sparsepass {
namespace fuzz {
namespace {

constexpr size_t kMostWords = 3000;

int64_t below(Random& random, int64_t count) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(count));
}

int64_t between(Random& random, int64_t least, int64_t most) {
  return least + below(random, most - least + 1);
}

bool one_in(Random& random, int64_t count) { return below(random, count) == 0; }

template <class T, size_t N>
T any(Random& random, const T (&values)[N]) {
  return values[below(random, N)];
}

uint32_t bits(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof(word));
  return word;
}

std::vector<uint32_t> small_floats(Random& random, size_t count) {
  std::vector<uint32_t> words(count);
  for (uint32_t& word : words) word = bits(static_cast<float>(between(random, -64, 64)) / 16);
  return words;
}

// --- geometries ---------------------------------------------------------------------------------

ConvParams any_params(Random& random) {
  static constexpr int64_t groups[] = {1, 1, 1, 2, 3, 17}, kernels[] = {1, 1, 3, 3, 2, 5, 7},
                           steps[] = {1, 1, 1, 2, 3, 4};
  ConvParams p = {};
  p.groups = any(random, groups);
  const bool depthwise = one_in(random, 4);
  p.filters = p.groups * (depthwise ? 1 : between(random, 1, one_in(random, 4) ? 70 : 20));
  p.channels_per_group = depthwise ? 1 : between(random, 1, one_in(random, 4) ? 40 : 8);
  p.kernel_h = any(random, kernels);
  p.kernel_w = one_in(random, 4) ? any(random, kernels) : p.kernel_h;
  p.stride_h = any(random, steps);
  p.stride_w = one_in(random, 4) ? any(random, steps) : p.stride_h;
  p.dilation_h = p.dilation_w = one_in(random, 4) ? between(random, 1, 3) : 1;
  for (int64_t* pad : {&p.pad_top, &p.pad_left, &p.pad_bottom, &p.pad_right}) {
    *pad = one_in(random, 2) ? 0 : between(random, 0, p.kernel_h);
  }
  return p;
}

// One that another branch of a pair has the same output size and input as.
ConvParams sibling(ConvParams p, Random& random) {
  const int64_t channels = p.channels();
  p.groups = 1;
  p.channels_per_group = channels;
  p.filters = between(random, 1, 30);
  return p;
}

void set_ints(Case* given, const std::string& name, std::vector<int64_t> ints) {
  for (Attribute& attribute : given->attributes) {
    if (attribute.name == name) attribute.ints = std::move(ints);
  }
}

void set_geometry(Case* given, const ConvParams& p, const std::string& tag) {
  set_ints(given, "w_shape" + tag, {p.filters, p.channels_per_group, p.kernel_h, p.kernel_w});
  set_ints(given, "strides" + tag, {p.stride_h, p.stride_w});
  set_ints(given, "dilations" + tag, {p.dilation_h, p.dilation_w});
  set_ints(given, "pads" + tag, {p.pad_top, p.pad_left, p.pad_bottom, p.pad_right});
  set_ints(given, "group" + tag, {p.groups});
}

Input constant(int type, std::vector<int64_t> dims, std::vector<uint32_t> words) {
  return {true, static_cast<uint8_t>(type), std::move(dims), std::move(words)};
}

void add_payload(Case* given, const ConvParams& p, bool sparse, Random& random) {
  const int64_t size = p.filters * p.taps();
  if (sparse) {
    static constexpr int64_t densities[] = {0, 2, 10, 40, 100};
    const int64_t percent = any(random, densities);
    std::vector<uint32_t> indices;
    for (int64_t i = 0; i < size && indices.size() < kMostWords; ++i) {
      if (below(random, 100) < percent) indices.push_back(static_cast<uint32_t>(i));
    }
    const auto count = static_cast<int64_t>(indices.size());
    given->inputs.push_back(
        constant(ort::kTensorFloat, {count}, small_floats(random, indices.size())));
    given->inputs.push_back(constant(ort::kTensorInt32, {count}, std::move(indices)));
  } else {
    given->inputs.push_back(constant(ort::kTensorFloat,
                                     {p.filters, p.channels_per_group, p.kernel_h, p.kernel_w},
                                     small_floats(random, 61)));
  }
  given->inputs.push_back(constant(ort::kTensorFloat, {p.filters}, small_floats(random, 13)));
}

Input fed(Random& random, std::vector<int64_t> dims) {
  std::vector<uint32_t> words = small_floats(random, 97);
  // What activation-sparse kernels skip.
  if (one_in(random, 2)) {
    for (uint32_t& word : words) word = one_in(random, 8) ? word : 0;
  }
  return {false, ort::kTensorFloat, std::move(dims), std::move(words)};
}

int64_t any_size(Random& random, int64_t span) {
  return std::max<int64_t>(1, span + between(random, one_in(random, 8) ? -span : 0, 12));
}

void renew_conv(Case* given, const Op& op, Random& random) {
  const ConvParams p = any_params(random);
  const std::vector<int64_t> x = {between(random, 0, 3), p.channels(),
                                  any_size(random, p.dilation_h * (p.kernel_h - 1) + 1),
                                  any_size(random, p.dilation_w * (p.kernel_w - 1) + 1)};
  given->inputs = {fed(random, x)};
  set_geometry(given, p, "");
  add_payload(given, p, op.sparse(), random);
  if (op.create == create_pair) {
    const ConvParams second = sibling(p, random);
    set_geometry(given, second, "2");
    add_payload(given, second, op.sparse(), random);
  }
  if (op.residual) {
    given->inputs.push_back(fed(random, {x[0], p.filters, p.out_h(x[2]), p.out_w(x[3])}));
  }
}

void renew_map(Case* given, Random& random) {
  given->inputs = {fed(random, {between(random, 0, 3), between(random, 1, 40),
                                between(random, 1, 20), between(random, 1, 40)})};
  const int64_t kernel_h = between(random, 1, 5), kernel_w = between(random, 1, 5);
  set_ints(given, "kernel_shape", {kernel_h, kernel_w});
  set_ints(given, "strides", {between(random, 1, 4), between(random, 1, 4)});
  set_ints(given, "pads",
           {below(random, kernel_h), below(random, kernel_w), below(random, kernel_h),
            below(random, kernel_w)});
  set_ints(given, "size", {between(random, 1, 9)});
}

// --- faults -------------------------------------------------------------------------------------

constexpr int64_t kHuge = int64_t{1} << 31;

void spoil(int64_t* number, Random& random) {
  static constexpr int64_t strange[] = {0,
                                        1,
                                        2,
                                        3,
                                        5,
                                        16,
                                        17,
                                        64,
                                        1 << 15,
                                        1 << 16,
                                        1 << 20,
                                        1 << 30,
                                        kHuge - 1,
                                        kHuge,
                                        kHuge << 1,
                                        int64_t{1} << 61,
                                        std::numeric_limits<int64_t>::max(),
                                        std::numeric_limits<int64_t>::min()};
  switch (below(random, 4)) {
    case 0:
      *number = any(random, strange);
      break;
    case 1:
      *number = static_cast<int64_t>(static_cast<uint64_t>(*number) + (one_in(random, 2) ? 1 : -1));
      break;
    case 2:
      *number = -static_cast<int64_t>(static_cast<uint64_t>(*number) >> 1);
      break;
    default:
      *number = between(random, 0, 40);
  }
}

void spoil(std::vector<int64_t>* numbers, Random& random) {
  if (numbers->empty() || one_in(random, 12)) {
    numbers->resize(static_cast<size_t>(below(random, 6)), 1);
    return;
  }
  spoil(&(*numbers)[static_cast<size_t>(below(random, numbers->size()))], random);
}

void spoil(std::vector<uint32_t>* words, Random& random) {
  static const float strange[] = {0.0f,
                                  -0.0f,
                                  1e-42f,
                                  std::numeric_limits<float>::max(),
                                  std::numeric_limits<float>::infinity(),
                                  -std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::quiet_NaN()};
  if (words->empty() || one_in(random, 12)) {
    words->resize(static_cast<size_t>(below(random, 64)));
    return;
  }
  uint32_t& word = (*words)[static_cast<size_t>(below(random, words->size()))];
  switch (below(random, 4)) {
    case 0:
      word = bits(any(random, strange));
      break;
    case 1:
      word += one_in(random, 2) ? 1 : -1;
      break;
    case 2:
      word = static_cast<uint32_t>(random()) << 1;
      break;
    default:
      word = (*words)[static_cast<size_t>(below(random, words->size()))];
  }
}

void spoil(Attribute* attribute, Random& random) {
  static constexpr float strange[] = {0,
                                      -1,
                                      1,
                                      0.5f,
                                      1e30f,
                                      1e-42f,
                                      std::numeric_limits<float>::infinity(),
                                      std::numeric_limits<float>::quiet_NaN()};
  if (one_in(random, 16)) attribute->name += "2";
  if (one_in(random, 16)) attribute->kind = static_cast<Attribute::Kind>(below(random, 3));
  attribute->real = any(random, strange);
  if (attribute->kind != Attribute::kFloat) spoil(&attribute->ints, random);
}

void spoil(Input* input, Random& random) {
  static constexpr int types[] = {ort::kTensorFloat, ort::kTensorInt32, 0, 7, 11};
  if (one_in(random, 24)) input->constant = !input->constant;
  if (one_in(random, 24)) input->type = static_cast<uint8_t>(any(random, types));
  if (one_in(random, 3)) {
    spoil(&input->dims, random);
  } else {
    spoil(&input->words, random);
  }
}

}  // namespace

void renew(Case* given, Random& random) {
  const ort::CustomOp* op = find_op(*given);
  if (!op) return;
  if (as_op(op).activation) {
    renew_conv(given, as_op(op), random);
  } else {
    renew_map(given, random);
  }
}

void spoil(Case* given, Random& random) {
  const auto& ops = registered_ops(given->isa);
  const size_t attributes = given->attributes.size(), inputs = given->inputs.size();
  switch (below(random, 8)) {
    case 0: {
      const ort::CustomOp* op = ops[static_cast<size_t>(below(random, ops.size()))];
      given->op = op->GetName(op);
      break;
    }
    case 1:
      given->isa = static_cast<uint8_t>(below(random, 3));
      given->threads = static_cast<uint8_t>(below(random, 2));
      given->at_end = static_cast<uint8_t>(below(random, 2));
      given->in_place = static_cast<uint8_t>(below(random, 2));
      break;
    case 2:
    case 3:
    case 4:
      if (attributes > 0) spoil(&given->attributes[below(random, attributes)], random);
      break;
    default:
      if (inputs > 0) spoil(&given->inputs[below(random, inputs)], random);
  }
}

}  // namespace fuzz
}  // namespace sparsepass
