// Mutations that keep most of a case valid, so that most of them reach a kernel.
#ifndef SPARSEPASS_FUZZ_MUTATE_H_
#define SPARSEPASS_FUZZ_MUTATE_H_

#include <random>

#include "fuzz/case.h"

namespace sparsepass {
namespace fuzz {

using Random = std::minstd_rand;

// Gives the node another geometry, with attributes, weights and inputs that fit together.
void renew(Case* given, Random& random);

// Changes one thing, whatever then still fits.
void spoil(Case* given, Random& random);

}  // namespace fuzz
}  // namespace sparsepass

#endif  // SPARSEPASS_FUZZ_MUTATE_H_
