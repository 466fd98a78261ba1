// What a library shows to those that load it.
#ifndef SPARSEPASS_BASE_EXPORT_H_
#define SPARSEPASS_BASE_EXPORT_H_

#if defined(_WIN32)
#define SP_EXPORT extern "C" __declspec(dllexport)
#else
#define SP_EXPORT extern "C" __attribute__((visibility("default")))
#endif

#endif  // SPARSEPASS_BASE_EXPORT_H_
