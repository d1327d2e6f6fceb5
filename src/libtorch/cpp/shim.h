// The rules of the C interface: every entry returns NULL or a malloc'd message that the caller frees;
// no exception crosses it; a Tensor* is torch_sys::C_tensor*.
#pragma once
#include <ATen/ATen.h>
#include <cstring>
#include <exception>

#define SHIM(...)                           \
  try {                                     \
    __VA_ARGS__;                            \
    return nullptr;                         \
  } catch (const std::exception& error) {   \
    return strdup(error.what());            \
  } catch (...) {                           \
    return strdup("unknown C++ exception"); \
  }

using at::Tensor;

inline std::vector<Tensor> tensors(Tensor** pointers, int count) {
  std::vector<Tensor> list;
  list.reserve(count);
  for (int i = 0; i < count; ++i) list.push_back(*pointers[i]);
  return list;
}
