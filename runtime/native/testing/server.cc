// Lends the functions and the memory of this process to another one, through standard input and
// output.  So the tests reach a library that is made for another processor: an emulator runs this.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>

namespace {

enum class Command : int64_t { call, read, write };

// Both processors are little-endian.
struct Request {
  Command command;
  int64_t argument[6];  // of the function; where to read or write, and how many bytes
  char function[40];
};

// Integers and addresses take the same registers, whatever their type.
using Function = int64_t(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t);

// What the function returns; of one that returns an int, the upper half means nothing.
int64_t call(const Request& r) {
  const int64_t* a = r.argument;
  auto* const function = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, r.function));
  return function(a[0], a[1], a[2], a[3], a[4], a[5]);
}

bool answer(const Request& r) {
  if (r.command == Command::call) {
    const int64_t result = call(r);
    return std::fwrite(&result, sizeof(result), 1, stdout) == 1;
  }
  void* const memory = reinterpret_cast<void*>(r.argument[0]);
  const size_t bytes = static_cast<size_t>(r.argument[1]);
  return r.command == Command::read ? std::fwrite(memory, 1, bytes, stdout) == bytes
                                    : std::fread(memory, 1, bytes, stdin) == bytes;
}

}  // namespace

// The argument is the library whose functions can be called, beside those of C.
int main(int count, char** arguments) {
  if (count != 2 || !dlopen(arguments[1], RTLD_NOW | RTLD_GLOBAL)) {
    std::fprintf(stderr, "%s\n", count == 2 ? dlerror() : "one library");
    return 1;
  }
  Request request;
  while (std::fread(&request, sizeof(request), 1, stdin) == 1) {
    if (!answer(request) || std::fflush(stdout) != 0) return 1;
  }
}
