// The stock attention kernel over a cache whose used part is known on the device alone.
#include "shim.h"
#include <ATen/core/grad_mode.h>

extern "C" {

// One query per sample, [batch, heads, width], over the first lengths[b] rows (int32 [batch]) of its keys and values.
// Keys and values are [rows, heads, width]; sample b's begin at row key_starts[b] (int32 [batch + 1]), and are
// `longest` at most. query_starts is 0, 1, … batch, int32. The answer is [batch, heads, width].
char* synth_flash_over_cache(Tensor* q, Tensor* k, Tensor* v, Tensor* query_starts, Tensor* key_starts, Tensor* lengths,
                             int64_t longest, double scale, Tensor** output) {
  SHIM(
    at::NoGradGuard no_grad;
    auto results = at::_flash_attention_forward(*q, *k, *v, *query_starts, *key_starts, 1, longest, 0.0, false, false,
                                                scale, std::nullopt, std::nullopt, *lengths);
    *output = new Tensor(std::get<0>(results)))
}
}
