// The factories of all algorithms; algorithms.inc has one row each.
#ifndef SPARSEPASS_CONV_ALGORITHMS_H_
#define SPARSEPASS_CONV_ALGORITHMS_H_

#include "conv/conv.h"

namespace sparsepass {

#define SP_ALGORITHM(name) ConvFactory make_##name;
#include "conv/algorithms.inc"
#undef SP_ALGORITHM

// The factory called `name`, or null.
ConvFactory* find_algorithm(const char* name);

}  // namespace sparsepass

#endif  // SPARSEPASS_CONV_ALGORITHMS_H_
