// Which core owns the cache lines of an output.
//
// Where two cores share no cache, writing a line that both hold waits for the other core, one line
// after the other: 27 ns each on Zen 4, however early it is asked for.  A line that no cache holds
// comes from memory in 4 ns, with the next ones on their way.  A map that threads share out by
// position has hardly a line that both cores do not hold: prefetching runs on behind the part of a
// plane that a thread reads.  So lines are flushed some time before they are written.
#ifndef SPARSEPASS_BASE_CACHE_LINES_H_
#define SPARSEPASS_BASE_CACHE_LINES_H_

#include <cstdint>

namespace sparsepass {

// Moves the lines that hold `floats` floats in each of `rows` rows, `stride` floats apart, from all
// caches to memory, where the machine can do so without waiting.
void flush_lines(float* first, int64_t rows, int64_t stride, int64_t floats);

// Prefetches one line of each row, to write it.
void prefetch_for_write(float* first, int64_t rows, int64_t stride);

}  // namespace sparsepass

#endif  // SPARSEPASS_BASE_CACHE_LINES_H_
