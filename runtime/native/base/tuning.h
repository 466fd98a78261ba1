// The measured constants of sparsepass/tuning.json, which says what each is, and where and how it
// was measured.
#ifndef SPARSEPASS_BASE_TUNING_H_
#define SPARSEPASS_BASE_TUNING_H_

#include <cstdint>

#include "base/machine.h"

namespace sparsepass {

// A constant that is the same on all instruction sets is a static member, any other a field.  CMake
// writes tuning.inc: a row per constant, whole numbers as integers.
struct Tuning {
#define SP_FOR_ALL(type, name, value) static constexpr type name = value;
#define SP_FOR_EACH(type, name, baseline, avx2, avx512, intel) type name;
#include "base/tuning.inc"
#undef SP_FOR_ALL
#undef SP_FOR_EACH
};

#define SP_FOR_ALL(type, name, value)

namespace baseline {
constexpr Tuning tuning = {
#define SP_FOR_EACH(type, name, baseline, avx2, avx512, intel) baseline,
#include "base/tuning.inc"
#undef SP_FOR_EACH
};
}  // namespace baseline

namespace avx2 {
constexpr Tuning tuning = {
#define SP_FOR_EACH(type, name, baseline, avx2, avx512, intel) avx2,
#include "base/tuning.inc"
#undef SP_FOR_EACH
};
}  // namespace avx2

namespace avx512 {
constexpr Tuning tuning = {
#define SP_FOR_EACH(type, name, baseline, avx2, avx512, intel) avx512,
#include "base/tuning.inc"
#undef SP_FOR_EACH
};
// What Intel's processors differ in; kernels are compiled with the constants above.
constexpr Tuning intel_tuning = {
#define SP_FOR_EACH(type, name, baseline, avx2, avx512, intel) intel,
#include "base/tuning.inc"
#undef SP_FOR_EACH
};
}  // namespace avx512

#undef SP_FOR_ALL

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_TUNING_H_
