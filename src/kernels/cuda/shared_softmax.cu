// The attention weights of scores that no input changes, one matrix a head for the whole batch, and back.
//
// Macros: NUMBER, float or bf16: the kind of the weights. scores [heads, queries, keys] float32. One warp a row, 8 rows a
// block. Query i sees the keys up to i + keys - queries where `causal`; a row without a key is 0.
DEVICE int visible(int row, int queries, int keys, int causal) {
  return causal ? max(0, min(keys, row % queries + 1 + keys - queries)) : keys;
}

// weights = softmax(scores), what a backward pass needs; dropped_weights, null without dropout, what the product needs.
KERNEL __launch_bounds__(256) shared_softmax(const float* scores, NUMBER* weights, NUMBER* dropped_weights, int rows, int queries,
    int keys, int causal, Dropout dropout) {
  int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  u64 start = (u64)row * keys;
  int seen = visible(row, queries, keys, causal);
  float highest = LOWEST, sum = 0.f;
  for (int j = lane; j < seen; j += 32) highest = fmaxf(highest, scores[start + j]);
  highest = warp_max(highest);
  for (int j = lane; j < seen; j += 32) sum += exp2_((scores[start + j] - highest) * LOG2_E);
  sum = warp_sum(sum);
  u32 row_hash = dropout.columns ? dropout.rows[row] : 0;
  for (int j = lane; j < keys; j += 32) {
    float weight = j < seen ? exp2_((scores[start + j] - highest) * LOG2_E) / sum : 0.f;
    from_float(weights[start + j], weight);
    if (!dropout.columns) continue;
    from_float(dropped_weights[start + j], dropped(row_hash, dropout.columns[j], dropout.threshold) ? 0.f : weight * dropout.scale);
  }
}
EXPORT(shared_softmax)

// From the gradient of the dropped weights, float32, to that of the scores.
KERNEL __launch_bounds__(256) shared_softmax_backward(const NUMBER* weights, const float* weight_gradient, float* score_gradient,
    int rows, int queries, int keys, int causal, Dropout dropout) {
  int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  u64 start = (u64)row * keys;
  int seen = visible(row, queries, keys, causal);
  u32 row_hash = dropout.columns ? dropout.rows[row] : 0;
  float sum = 0.f;
  for (int pass = 0; pass < 2; ++pass) {
    for (int j = lane; j < keys; j += 32) {
      float a = j < seen ? to_float(weights[start + j]) : 0.f, d = j < seen ? weight_gradient[start + j] : 0.f;
      if (dropout.columns) d = dropped(row_hash, dropout.columns[j], dropout.threshold) ? 0.f : d * dropout.scale;
      if (pass == 0) sum += a * d;
      else score_gradient[start + j] = a * (d - sum);
    }
    if (pass == 0) sum = warp_sum(sum);
  }
}
EXPORT(shared_softmax_backward)
