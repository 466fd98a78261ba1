#include "conv/algorithms.h"

#include <cstring>

namespace sparsepass {

ConvFactory* find_algorithm(const char* name) {
  static const struct {
    const char* name;
    ConvFactory* factory;
  } rows[] = {
#define SP_ALGORITHM(name) {#name, &make_##name},
#include "conv/algorithms.inc"
#undef SP_ALGORITHM
  };
  for (const auto& row : rows) {
    if (std::strcmp(row.name, name) == 0) return row.factory;
  }
  return nullptr;
}

}  // namespace sparsepass
