// What tch's generator leaves out: the fused AdamW and norms over lists of tensors.
#include "shim.h"
#include <ATen/core/grad_mode.h>

extern "C" {

// One AdamW update (arXiv 1711.05101) of a group of parameters. `step` counts this group's updates
// (a float32 scalar on the device). Where `skip` (likewise) is 1 nothing changes, the counter neither.
// A learning rate on the device, as a captured graph needs it, takes the place of `lr`.
char* synth_fused_adamw(Tensor** parameters, Tensor** gradients, Tensor** first, Tensor** second, int count,
                        Tensor* step, double lr, Tensor* lr_on_device, double beta1, double beta2, double eps,
                        double weight_decay, Tensor* skip) {
  SHIM(
    at::NoGradGuard no_grad;
    step->add_(1 - *skip);
    std::vector<Tensor> steps(count, *step);
    auto p = tensors(parameters, count);
    auto g = tensors(gradients, count);
    auto m = tensors(first, count);
    auto v = tensors(second, count);
    if (lr_on_device)
      at::_fused_adamw_(p, g, m, v, {}, steps, *lr_on_device, beta1, beta2, weight_decay, eps, false, false, {}, *skip);
    else
      at::_fused_adamw_(p, g, m, v, {}, steps, lr, beta1, beta2, weight_decay, eps, false, false, {}, *skip))
}

// The L2 norm over all tensors, as a new scalar tensor on their device.
char* synth_global_norm(Tensor** list, int count, Tensor** norm) {
  SHIM(
    at::NoGradGuard no_grad;
    *norm = new Tensor(at::linalg_vector_norm(at::stack(at::_foreach_norm(tensors(list, count), 2)), 2)))
}

// Multiplies every tensor by a scalar tensor, in place.
char* synth_scale(Tensor** list, int count, Tensor* factor) {
  SHIM(at::NoGradGuard no_grad; at::_foreach_mul_(tensors(list, count), *factor))
}

// The gradients of parameters as owned tensors; zeros where a backward pass reached none.
char* synth_gradients(Tensor** parameters, int count, Tensor** gradients) {
  SHIM(
    at::NoGradGuard no_grad;
    for (int i = 0; i < count; ++i) {
      auto& gradient = parameters[i]->mutable_grad();
      if (!gradient.defined()) gradient = at::zeros_like(*parameters[i]);
    }
    for (int i = 0; i < count; ++i) gradients[i] = new Tensor(parameters[i]->grad()))
}

// Lets go of the gradients of parameters, so that the next backward pass gives its own tensors and adds to none.
char* synth_forget_gradients(Tensor** parameters, int count) {
  SHIM(for (int i = 0; i < count; ++i) parameters[i]->mutable_grad().reset())
}

char* synth_zero(Tensor** list, int count) {
  SHIM(at::NoGradGuard no_grad; at::_foreach_zero_(tensors(list, count)))
}
}
