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

// Runs `body`; what it throws becomes a status that begins with `where`.
template <class Body>
ort::Status* guarded(const ort::Api& api, const std::string& where, Body body) {
  try {
    body();
    return nullptr;
  } catch (const std::bad_alloc&) {
    return api.CreateStatus()(ort::kFail, (where + ": out of memory").c_str());
  } catch (const std::exception& error) {
    return api.CreateStatus()(ort::kInvalidArgument, (where + ": " + error.what()).c_str());
  }
}

}  // namespace sparsepass

#endif  // SPARSEPASS_ORT_ERROR_H_
