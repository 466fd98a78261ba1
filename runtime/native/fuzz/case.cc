#include "fuzz/case.h"

#include <algorithm>
#include <cstring>

namespace sparsepass {
namespace fuzz {
namespace {

constexpr size_t kMostAttributes = 32, kMostInts = 16, kMostInputs = 12, kMostDims = 8;

class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  template <class T>
  T number() {
    T value = {};
    take(&value, sizeof(value));
    return value;
  }
  std::string text() {
    std::string value(std::min<size_t>(number<uint8_t>(), left_), 0);
    take(&value[0], value.size());
    return value;
  }
  template <class T>
  std::vector<T> numbers(size_t count) {
    std::vector<T> values(std::min(count, left_ / sizeof(T)));
    take(values.data(), values.size() * sizeof(T));
    return values;
  }

 private:
  void take(void* target, size_t bytes) {
    bytes = std::min(bytes, left_);
    if (bytes == 0) return;
    std::memcpy(target, data_, bytes);
    data_ += bytes;
    left_ -= bytes;
  }

  const uint8_t* data_;
  size_t left_;
};

class Writer {
 public:
  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(const std::string& value) {
    number(static_cast<uint8_t>(value.size()));
    bytes_ += value;
  }
  template <class T>
  void numbers(const std::vector<T>& values) {
    for (const T value : values) number(value);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

Attribute read_attribute(Reader* reader) {
  Attribute read = {};
  read.name = reader->text();
  read.kind = static_cast<Attribute::Kind>(reader->number<uint8_t>() % 3);
  read.real = reader->number<float>();
  const size_t count = reader->number<uint8_t>();
  read.ints = reader->numbers<int64_t>(std::min(count, kMostInts));
  if (read.kind == Attribute::kInt) read.ints.resize(1);
  return read;
}

Input read_input(Reader* reader) {
  Input read = {};
  read.constant = reader->number<uint8_t>() % 2 != 0;
  read.type = reader->number<uint8_t>();
  const size_t rank = reader->number<uint8_t>();
  read.dims = reader->numbers<int64_t>(std::min(rank, kMostDims));
  read.words = reader->numbers<uint32_t>(reader->number<uint16_t>());
  return read;
}

}  // namespace

const Attribute* Case::find(const char* name) const {
  for (const Attribute& attribute : attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

Case decode(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  Case read = {};
  read.isa = reader.number<uint8_t>();
  read.threads = reader.number<uint8_t>();
  read.at_end = reader.number<uint8_t>();
  read.in_place = reader.number<uint8_t>();
  read.op = reader.text();
  const size_t attributes = std::min<size_t>(reader.number<uint8_t>(), kMostAttributes);
  for (size_t i = 0; i < attributes; ++i) read.attributes.push_back(read_attribute(&reader));
  const size_t inputs = std::min<size_t>(reader.number<uint8_t>(), kMostInputs);
  for (size_t i = 0; i < inputs; ++i) read.inputs.push_back(read_input(&reader));
  return read;
}

std::string encode(const Case& given) {
  Writer writer;
  for (const uint8_t value : {given.isa, given.threads, given.at_end, given.in_place}) {
    writer.number(value);
  }
  writer.text(given.op);
  writer.number(static_cast<uint8_t>(given.attributes.size()));
  for (const Attribute& attribute : given.attributes) {
    writer.text(attribute.name);
    writer.number(static_cast<uint8_t>(attribute.kind));
    writer.number(attribute.real);
    writer.number(static_cast<uint8_t>(attribute.ints.size()));
    writer.numbers(attribute.ints);
  }
  writer.number(static_cast<uint8_t>(given.inputs.size()));
  for (const Input& input : given.inputs) {
    writer.number(static_cast<uint8_t>(input.constant));
    writer.number(input.type);
    writer.number(static_cast<uint8_t>(input.dims.size()));
    writer.numbers(input.dims);
    writer.number(static_cast<uint16_t>(input.words.size()));
    writer.numbers(input.words);
  }
  return writer.bytes();
}

}  // namespace fuzz
}  // namespace sparsepass
