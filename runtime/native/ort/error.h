// What goes wrong at the border to ONNX Runtime: nothing is thrown across it.
#ifndef SPARSEPASS_ORT_ERROR_H_
#define SPARSEPASS_ORT_ERROR_H_

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "ort/abi.h"

namespace sparsepass {

// A failed call into ONNX Runtime, or a model that cannot be used.
struct OrtError : std::exception {
  explicit OrtError(std::string text) : message(std::move(text)) {}
  const char* what() const noexcept override { return message.c_str(); }
  std::string message;
};

inline void check(const ort::Api& api, ort::Status* status, const char* what) {
  if (!status) return;
  api.ReleaseStatus()(status);
  throw OrtError(what);
}

// A status that begins with what `where` returns, as far as there is memory for it.
template <class Where>
ort::Status* failed(const ort::Api& api, int code, Where where, const char* what) noexcept {
  try {
    return api.CreateStatus()(code, (where() + ": " + what).c_str());
  } catch (...) {
    return api.CreateStatus()(code, what);
  }
}

// Runs `body`; what it throws becomes a status that begins with what `where` returns.
template <class Where, class Body>
ort::Status* guarded(const ort::Api& api, Where where, Body body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const std::bad_alloc&) {
    return failed(api, ort::kFail, where, "out of memory");
  } catch (const std::exception& error) {
    return failed(api, ort::kInvalidArgument, where, error.what());
  } catch (...) {
    return failed(api, ort::kFail, where, "an unknown error");
  }
}

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_ERROR_H_
