// One node to fuzz: an op, its attributes and its inputs, and how it is run.
//
// Every string of bytes is a case: what is missing is zero, what is left over is ignored.  The
// seeds that tests/fuzz/seeds.py writes have the same form.
#ifndef SPARSEPASS_FUZZ_CASE_H_
#define SPARSEPASS_FUZZ_CASE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sparsepass {
namespace fuzz {

struct Attribute {
  enum Kind : uint8_t { kInt, kInts, kFloat };
  std::string name;
  Kind kind;
  std::vector<int64_t> ints;
  float real;
};

struct Input {
  bool constant;
  uint8_t type;
  std::vector<int64_t> dims;
  // The elements, repeated until there are as many as `dims` says.
  std::vector<uint32_t> words;
};

struct Case {
  uint8_t isa;
  // Of the session: one thread, or two that do run at the same time or take turns.
  uint8_t threads;
  // Whether the arrays end where their memory ends, or begin where it begins.
  uint8_t at_end;
  // Whether the output takes the memory of the residual, where the op allows it.
  uint8_t in_place;
  std::string op;
  std::vector<Attribute> attributes;
  std::vector<Input> inputs;

  const Attribute* find(const char* name) const;
};

Case decode(const uint8_t* data, size_t size);
std::string encode(const Case& given);

}  // namespace fuzz
}  // namespace sparsepass

#endif  // SPARSEPASS_FUZZ_CASE_H_
