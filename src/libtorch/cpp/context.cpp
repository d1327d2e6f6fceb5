// libtorch's global switches and memory figures; needs no CUDA headers.
#include "shim.h"
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/headeronly/version.h>

extern "C" {

const char* synth_torch_version() { return TORCH_VERSION; }

// The CUDA runtime that libtorch was built for, as 1000 · major + 10 · minor, with or without a device; an error
// where libtorch_cuda is not linked.
char* synth_cuda_version(int64_t* version) { SHIM(*version = at::detail::getCUDAHooks().versionCUDART()) }

// The version of the cuDNN that is loaded; an error where libtorch_cuda is not linked.
char* synth_cudnn_version(int64_t* version) { SHIM(*version = at::detail::getCUDAHooks().versionRuntimeCuDNN()) }

// Which kernels scaled_dot_product_attention may take. Bits: 1 flash, 2 efficient, 4 math, 8 cuDNN.
char* synth_sdp_backends(int bits) {
  SHIM(
    auto& context = at::globalContext();
    context.setSDPUseFlash(bits & 1);
    context.setSDPUseMemEfficient(bits & 2);
    context.setSDPUseMath(bits & 4);
    context.setSDPUseCuDNN(bits & 8))
}

char* synth_deterministic(bool on) {
  SHIM(
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(on, false);
    // Nothing reads memory before it is written: filling it with NaN first would only cost time.
    context.setDeterministicFillUninitializedMemory(false);
    context.setDeterministicCuDNN(on);
    if (on) context.setBenchmarkCuDNN(false))
}

bool synth_is_deterministic() { return at::globalContext().deterministicAlgorithms(); }

// A copy in pinned memory; tch's own call warns each time of an argument that it cannot leave out.
char* synth_pinned(Tensor* tensor, Tensor** pinned) { SHIM(*pinned = new Tensor(tensor->pin_memory())) }

// Bytes: allocated, its peak, reserved, its peak, free on the device, in all on the device.
char* synth_memory(int index, int64_t* bytes) {
  SHIM(
    at::globalContext().lazyInitDevice(at::kCUDA); // the allocator has no figures before
    auto statistics = at::accelerator::getDeviceStats(index);
    auto memory = at::accelerator::getMemoryInfo(index);
    bytes[0] = statistics.allocated_bytes[0].current;
    bytes[1] = statistics.allocated_bytes[0].peak;
    bytes[2] = statistics.reserved_bytes[0].current;
    bytes[3] = statistics.reserved_bytes[0].peak;
    bytes[4] = (int64_t)memory.first;
    bytes[5] = (int64_t)memory.second)
}

char* synth_memory_reset_peak(int index) {
  SHIM(at::globalContext().lazyInitDevice(at::kCUDA); at::accelerator::resetPeakStats(index))
}
}
