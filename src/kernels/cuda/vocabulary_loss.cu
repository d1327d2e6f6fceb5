// The loss of rows of logits, and its gradient in their place.
//
//   nats      = lse - logit[target]                                  lse = log(sum(exp(logits)))
//   objective = (1 - smoothing) nats + smoothing (lse - mean(logits)) + z_loss lse^2
//   gradient  = weight (softmax (1 + 2 z_loss lse) - (1 - smoothing) onehot(target) - smoothing / VOCABULARY)
//
// Label smoothing: arXiv 1512.00567; z-loss: arXiv 2204.02311. A negative target does not count: nats, objective and
// gradient are 0. The gradient is formed in float32 and rounded once.
//
// Macros: VOCABULARY; THREADS, a multiple of 32, a block for each row; VECTORS = ceil(VOCABULARY / 8 THREADS); HELD 1: a row
// stays in registers between the passes over it, so that it is read once and written once; 0: it is read for each pass;
// SMOOTHED 0: smoothing is 0.
// Rows begin `stride` elements apart, which 8 divides, at such an address; what is behind VOCABULARY is ignored and becomes 0.
#define BLOCKS (THREADS <= 512 ? 2 : 1)
#if HELD
#define PASS _Pragma("unroll")
#else
#define PASS _Pragma("unroll 2")
#endif
#define LOWEST_PAIR 0xff80ff80u

DEVICE int column(int k) { return (k * THREADS + (int)threadIdx.x) * 8; }
// Eight logits, lowest of all where there are none.
DEVICE uint4 logits(const u16* start, int k) {
  int c = column(k);
  if (c >= VOCABULARY) return make_uint4(LOWEST_PAIR, LOWEST_PAIR, LOWEST_PAIR, LOWEST_PAIR);
  uint4 x = load_once((const uint4*)(start + c));
  if (VOCABULARY % 8 == 0 || k + 1 < VECTORS || c + 8 <= VOCABULARY) return x;
  u32 words[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
  for (int i = 0; i < 8; ++i)
    if (c + i >= VOCABULARY) words[i / 2] = i % 2 ? (words[i / 2] & 0xffffu) | 0xff800000u : (words[i / 2] & 0xffff0000u) | 0xff80u;
  return make_uint4(words[0], words[1], words[2], words[3]);
}
// The same in a later pass. Registers are forgotten: the float32 form of a whole row, made in the pass before, would not
// fit beside it.
DEVICE uint4 again(uint4& held, const u16* start, int k) {
  if (!HELD) return logits(start, k);
  forget(held);
  return held;
}

KERNEL __launch_bounds__(THREADS, BLOCKS) vocabulary_loss(u16* rows, i64 stride, const i64* targets, const float* weight,
    float* nats, float* objective, float smoothing, float z_loss) {
  SHARED float sums[3][32];
  int thread = threadIdx.x;
  uint4 held[HELD ? VECTORS : 1];
  u16* start = rows + blockIdx.x * stride;
  int target = targets[blockIdx.x];
  bool counts = target >= 0;
  float at_target = counts ? as_float((u32)start[target] << 16) : 0.f;

  u32 most = LOWEST_PAIR;
PASS
  for (int k = 0; k < VECTORS; ++k) {
    uint4 x = logits(start, k);
    if (HELD) held[HELD ? k : 0] = x;
    most = max_pairs(most, max_pairs(max_pairs(x.x, x.y), max_pairs(x.z, x.w)));
  }
  // In units of log2. A thread without a finite logit adds 0 to the sum, not NaN.
  float own = fmaxf(fmaxf(low(most), high(most)), LOWEST) * LOG2_E, sum = 0.f, total = 0.f;
  own = fmaxf(own, LOWEST);
PASS
  for (int k = 0; k < VECTORS; ++k) {
    Eight x = unpack(again(held[HELD ? k : 0], start, k));
    for (int i = 0; i < 8; ++i) sum += exp2_(fmaf(x.at[i], LOG2_E, -own));
  }
  if (SMOOTHED) {
PASS
    for (int k = 0; k < VECTORS; ++k) {
      Eight x = unpack(again(held[HELD ? k : 0], start, k));
      for (int i = 0; i < 8; ++i)
        if (column(k) + i < VOCABULARY) total += x.at[i];
    }
  }
  // Each warp's maximum and sums, then those of all warps, in every warp.
  float highest = warp_max(own);
  sum = warp_sum(sum * exp2_(own - highest));
  if (SMOOTHED) total = warp_sum(total);
  if (thread % 32 == 0) {
    sums[0][thread / 32] = highest;
    sums[1][thread / 32] = sum;
    sums[2][thread / 32] = total;
  }
  __syncthreads();
  int warp = thread % 32;
  bool is = warp < THREADS / 32;
  own = is ? sums[0][warp] : LOWEST;
  highest = warp_max(own);
  sum = warp_sum(is ? sums[1][warp] * exp2_(own - highest) : 0.f);
  if (SMOOTHED) total = warp_sum(is ? sums[2][warp] : 0.f);

  float log2_sum = highest + log2f(sum), lse = log2_sum * LN_2;
  if (thread == 0) {
    float plain = counts ? lse - at_target : 0.f;
    nats[blockIdx.x] = plain;
    float smooth = SMOOTHED ? smoothing * (lse - total * (1.f / VOCABULARY)) : 0.f;
    objective[blockIdx.x] = counts ? (1.f - smoothing) * plain + smooth + z_loss * lse * lse : 0.f;
  }
  float scale = counts ? weight ? weight[0] : 1.f : 0.f;
  float of_softmax = scale * (1.f + 2.f * z_loss * lse), of_all = SMOOTHED ? scale * smoothing * (1.f / VOCABULARY) : 0.f, of_target = scale * (1.f - smoothing);
PASS
  for (int k = 0; k < VECTORS; ++k) {
    int c = column(k);
    if (c >= VOCABULARY) continue;
    Eight x = unpack(again(held[HELD ? k : 0], start, k));
    for (int i = 0; i < 8; ++i) x.at[i] = fmaf(exp2_(fmaf(x.at[i], LOG2_E, -log2_sum)), of_softmax, -of_all);
    int place = target - c;
    if (counts && (u32)place < 8u)
#pragma unroll
      for (int i = 0; i < 8; ++i)
        if (i == place) x.at[i] -= of_target;
    if (VOCABULARY % 8 && k + 1 == VECTORS)
      for (int i = 0; i < 8; ++i)
        if (c + i >= VOCABULARY) x.at[i] = 0.f;
    store_once((uint4*)(start + c), pack(x));
  }
}
EXPORT(vocabulary_loss)
