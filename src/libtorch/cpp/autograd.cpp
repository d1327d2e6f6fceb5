// Backward passes written in Rust, which tch has no way to attach.
#include "shim.h"
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

using torch::autograd::variable_list;

// Fills input_gradients[i] with an owned tensor or NULL; returns NULL or a malloc'd message.
// Runs on autograd's thread, which for CUDA is not the caller's, and must not unwind.
typedef char* (*Backward)(void* closure, Tensor** output_gradients, int outputs, Tensor** input_gradients, int inputs);
typedef void (*Drop)(void* closure);

struct ClosureNode : torch::autograd::Node {
  void* closure;
  Backward backward;
  Drop drop;
  int inputs;
  ClosureNode(void* closure, Backward backward, Drop drop, int inputs)
      : closure(closure), backward(backward), drop(drop), inputs(inputs) {}
  ~ClosureNode() override { release_variables(); }
  void release_variables() override {
    if (closure) drop(closure);
    closure = nullptr;
  }
  std::string name() const override { return "SynthBackward"; }
  variable_list apply(variable_list&& gradients) override {
    TORCH_CHECK(closure, "a second backward pass through the same graph");
    std::vector<Tensor*> given(gradients.size());
    std::vector<Tensor*> made(inputs, nullptr);
    for (size_t i = 0; i < gradients.size(); ++i) given[i] = &gradients[i];
    char* error = backward(closure, given.data(), (int)given.size(), made.data(), inputs);
    variable_list result(inputs);
    for (int i = 0; i < inputs; ++i) {
      if (!made[i]) continue;
      result[i] = *made[i];
      delete made[i];
    }
    if (error) {
      std::string message(error);
      free(error);
      throw std::runtime_error(message);
    }
    return result;
  }
};

extern "C" {

// Makes outputs that were computed under no_grad differentiable. Takes the closure in every case.
char* synth_attach_backward(Tensor** inputs, int input_count, Tensor** outputs, int output_count, void* closure,
                            Backward backward, Drop drop) {
  SHIM(
    std::shared_ptr<ClosureNode> node(new ClosureNode(closure, backward, drop, input_count),
                                      torch::autograd::deleteNode);
    auto list = tensors(inputs, input_count);
    if (at::GradMode::is_enabled() && torch::autograd::any_variable_requires_grad(list)) {
      node->set_next_edges(torch::autograd::collect_next_edges(list));
      for (int i = 0; i < output_count; ++i) torch::autograd::create_gradient_edge(*outputs[i], node);
    })
}

// The gradients of inputs for those of outputs, owned, NULL where there is none; no .grad changes.
char* synth_gradients_of(Tensor** outputs, Tensor** upstream, int output_count, Tensor** inputs, int input_count,
                         Tensor** gradients) {
  SHIM(
    if (output_count == 0) return nullptr;
    auto found = torch::autograd::grad(tensors(outputs, output_count), tensors(inputs, input_count),
                                       tensors(upstream, output_count), false, false, true);
    for (int i = 0; i < input_count; ++i) gradients[i] = found[i].defined() ? new Tensor(found[i]) : nullptr;)
}

// Backward from several tensors with their gradients; tch's own takes ones only.
char* synth_backward(Tensor** list, Tensor** gradients, int count) {
  SHIM(torch::autograd::backward(tensors(list, count), tensors(gradients, count)))
}
}
