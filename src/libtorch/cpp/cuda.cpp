// CUDA graphs and the names of devices: the only part that needs CUDA's own headers
// (cuda_runtime_api.h and crt/).
#include "shim.h"
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace at::cuda {
// Declared here because its own header asks for the headers of cuBLAS and cuSPARSE.
cudaDeviceProp* getDeviceProperties(c10::DeviceIndex device);
}

struct Graph {
  at::cuda::CUDAGraph graph;
  std::optional<c10::StreamGuard> side;
};

static void order(c10::Stream before, c10::Stream after) {
  c10::Event event(at::kCUDA);
  event.record(before);
  event.block(after);
}

extern "C" {

// The device's name, at most `size` bytes with the final zero, and its compute capability as 10 · major + minor.
char* synth_cuda_device(int index, char* name, int size, int* capability) {
  SHIM(
    auto* properties = at::cuda::getDeviceProperties(index);
    snprintf(name, size, "%s", properties->name);
    *capability = 10 * properties->major + properties->minor)
}

// Capturing runs on a side stream: side_begin, warm-up, begin, the step, end, side_end.
char* synth_graph_side_begin(int index, Graph** out) {
  SHIM(
    auto graph = std::make_unique<Graph>();
    auto side = c10::cuda::getStreamFromPool(false, index).unwrap();
    order(c10::cuda::getCurrentCUDAStream(index).unwrap(), side);
    graph->side.emplace(side);
    *out = graph.release())
}

char* synth_graph_side_end(Graph* graph) {
  SHIM(
    auto original = graph->side->original_stream();
    auto side = graph->side->current_stream();
    graph->side.reset();
    order(side, original))
}

// Thread-local: other threads, autograd's and the data's, may call CUDA meanwhile.
char* synth_graph_begin(Graph* graph) { SHIM(graph->graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal)) }
char* synth_graph_end(Graph* graph) { SHIM(graph->graph.capture_end()) }
char* synth_graph_replay(Graph* graph) { SHIM(graph->graph.replay()) }
void synth_graph_free(Graph* graph) { delete graph; }
}
