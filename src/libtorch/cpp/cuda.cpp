// CUDA graphs, streams and the names of devices: the only part that needs CUDA's own headers
// (cuda_runtime_api.h and crt/).
#include "shim.h"
#include <ATen/core/grad_mode.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/cuda/Sleep.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAStream.h>

namespace at::cuda {
// Declared here because its own header asks for the headers of cuBLAS and cuSPARSE.
cudaDeviceProp* getDeviceProperties(c10::DeviceIndex device);
}

static c10::Stream current(int index) { return c10::cuda::getCurrentCUDAStream(index).unwrap(); }

static void order(c10::Stream before, c10::Stream after) {
  c10::Event event(at::kCUDA);
  event.record(before);
  event.block(after);
}

// A graph whose recording may fail without harm to what runs after it.
struct Graph : at::cuda::CUDAGraph {
  void begin(c10::MempoolId_t pool) {
    try {
      capture_begin(pool, cudaStreamCaptureModeThreadLocal); // other threads, the data's, may call CUDA meanwhile
    } catch (...) {
      release_generators();
      throw;
    }
  }

  void end() {
    try {
      capture_end();
    } catch (...) {
      release_generators();
      release_memory();
      throw;
    }
  }

  // libtorch leaves generators and allocator as if recording went on.
  void release_generators() {
    for (auto& [state, increment] : captured_generator_states_) state->capturing_ = false;
  }

  void release_memory() {
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(capture_dev_, mempool_id_);
    } catch (const c10::Error&) {
      // It had been told already.
    }
    c10::cuda::CUDACachingAllocator::releasePool(capture_dev_, mempool_id_);
  }
};

// Copies from pinned memory on a stream of their own, ahead of the current one; each slot has two events.
struct Ahead {
  c10::Stream stream;
  std::vector<c10::Event> arrived, taken;
  Ahead(c10::Stream stream, int slots) : stream(stream) {
    for (int i = 0; i < slots; ++i) {
      arrived.emplace_back(at::kCUDA);
      taken.emplace_back(at::kCUDA);
    }
  }
};

extern "C" {

// The device's name, at most `size` bytes with the final zero, and its compute capability as 10 · major + minor.
char* synth_cuda_device(int index, char* name, int size, int* capability) {
  SHIM(
    auto* properties = at::cuda::getDeviceProperties(index);
    snprintf(name, size, "%s", properties->name);
    *capability = 10 * properties->major + properties->minor)
}

// From now on this thread's work runs on a stream of its own: the default stream cannot be recorded.
char* synth_own_stream(int index) {
  SHIM(
    auto now = c10::cuda::getCurrentCUDAStream(index);
    if (now == c10::cuda::getDefaultCUDAStream(index)) {
      auto own = c10::cuda::getStreamFromPool(false, index);
      order(now.unwrap(), own.unwrap());
      c10::cuda::setCurrentCUDAStream(own);
    })
}

// The stream of this thread's work, as the driver's handle.
char* synth_current_stream(int index, void** stream) { SHIM(*stream = c10::cuda::getCurrentCUDAStream(index).stream()) }

// Waits for all work of this thread's stream.
char* synth_synchronize(int index) { SHIM(c10::cuda::getCurrentCUDAStream(index).synchronize()) }

// Lets this thread's stream do nothing for so many cycles of the device's clock.
char* synth_hold(int index, int64_t cycles) {
  SHIM(
    c10::DeviceGuard guard(c10::Device(at::kCUDA, index));
    at::cuda::sleep(cycles))
}

// The state of the device's generator, on the host.
char* synth_generator_state(int index, Tensor** state) {
  SHIM(
    at::Generator generator = at::cuda::detail::getDefaultCUDAGenerator(index);
    std::lock_guard<std::mutex> turn(generator.mutex());
    *state = new Tensor(generator.get_state()))
}

char* synth_set_generator_state(int index, Tensor* state) {
  SHIM(
    at::Generator generator = at::cuda::detail::getDefaultCUDAGenerator(index);
    std::lock_guard<std::mutex> turn(generator.mutex());
    generator.set_state(*state))
}

// Gives cached memory back to the driver: what is recorded takes its memory from a pool of its own.
char* synth_empty_cache() { SHIM(c10::cuda::CUDACachingAllocator::emptyCache()) }

// The name of a new pool of memory for graphs.
char* synth_graph_pool(uint64_t* pool) {
  SHIM(
    auto handle = at::cuda::graph_pool_handle();
    pool[0] = handle.first;
    pool[1] = handle.second)
}

char* synth_graph_begin(const uint64_t* pool, Graph** out) {
  SHIM(
    auto graph = std::make_unique<Graph>();
    graph->begin({pool[0], pool[1]});
    *out = graph.release())
}

// Ends recording; also where the recorded work failed.
char* synth_graph_end(Graph* graph) { SHIM(graph->end()) }
char* synth_graph_replay(Graph* graph) { SHIM(graph->replay()) }
void synth_graph_free(Graph* graph) { delete graph; }

char* synth_ahead_new(int index, int slots, Ahead** out) {
  SHIM(*out = new Ahead(c10::cuda::getStreamFromPool(false, index).unwrap(), slots))
}

// Starts to copy `pinned` into `staging`, once what the slot held before was taken: the host waits for that, which is
// some steps ago, so that it does not run ahead without bounds and pin memory for all of them. Staging that is `fresh`
// may still be in use under another name on the current stream.
char* synth_ahead_send(Ahead* ahead, int slot, Tensor* staging, Tensor* pinned, bool fresh) {
  SHIM(
    at::NoGradGuard no_grad;
    if (fresh) order(current(staging->get_device()), ahead->stream);
    ahead->taken[slot].synchronize();
    c10::StreamGuard guard(ahead->stream);
    staging->copy_(*pinned, true);
    ahead->arrived[slot].record(ahead->stream))
}

// The current stream waits for the slot's copy, and then copies parts of it to their places.
char* synth_ahead_take(Ahead* ahead, int slot, Tensor** parts, Tensor** places, int count) {
  SHIM(
    at::NoGradGuard no_grad;
    auto stream = current(parts[0]->get_device());
    ahead->arrived[slot].block(stream);
    for (int i = 0; i < count; ++i) places[i]->copy_(*parts[i], true);
    ahead->taken[slot].record(stream))
}

void synth_ahead_free(Ahead* ahead) { delete ahead; }
}
