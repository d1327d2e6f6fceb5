// Stock attention kernels that tch lacks: over a cache whose used part is known on the device alone, and cuDNN's and
// FlashAttention with their backward passes.
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

// softmax(scale·q·Kᵀ)·V by FlashAttention or by cuDNN, [batch, heads, N, width of v]. `results`: the output, and, where
// `training`, what the backward pass needs besides: logsumexp, seed and offset of the generator.
char* synth_stock_attention(int flash, Tensor* q, Tensor* k, Tensor* v, double dropout, int causal, double scale,
                            int training, Tensor** results) {
  SHIM(
    at::NoGradGuard no_grad;
    auto [output, logsumexp, starts_q, starts_k, longest_q, longest_k, seed, offset, mask] =
        flash ? at::_scaled_dot_product_flash_attention(*q, *k, *v, dropout, causal, false, scale)
              : at::_scaled_dot_product_cudnn_attention(*q, *k, *v, std::nullopt, training, dropout, causal, false, scale);
    results[0] = new Tensor(output);
    results[1] = new Tensor(logsumexp);
    results[2] = new Tensor(seed);
    results[3] = new Tensor(offset))
}

// The gradients of q, k and v, each of a batch as large as the output's.
char* synth_stock_attention_backward(int flash, Tensor* gradient, Tensor* q, Tensor* k, Tensor* v, Tensor** saved,
                                     double dropout, int causal, double scale, Tensor** results) {
  SHIM(
    at::NoGradGuard no_grad;
    auto n = q->size(2), m = k->size(2);
    auto [of_q, of_k, of_v] =
        flash ? at::_scaled_dot_product_flash_attention_backward(*gradient, *q, *k, *v, *saved[0], *saved[1], Tensor(),
                                                                 Tensor(), n, m, dropout, causal, *saved[2], *saved[3],
                                                                 scale)
              : at::_scaled_dot_product_cudnn_attention_backward(*gradient, *q, *k, *v, *saved[0], *saved[1], *saved[2],
                                                                 *saved[3], Tensor(), Tensor(), Tensor(), n, m, dropout,
                                                                 causal, scale);
    results[0] = new Tensor(of_q);
    results[1] = new Tensor(of_k);
    results[2] = new Tensor(of_v))
}
}
