// Products that take up what stands around them.
#include "shim.h"
#include <ATen/core/grad_mode.h>

extern "C" {

// relu(x·w + bias): x [rows, in], w [in, out], bias [out].
char* synth_linear_relu(Tensor* x, Tensor* w, Tensor* bias, Tensor** output) {
  SHIM(
    at::NoGradGuard no_grad;
    *output = new Tensor(at::_addmm_activation(*bias, *x, *w, 1, 1, false)))
}
}
