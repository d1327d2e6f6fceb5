// AdamW (arXiv 1711.05101) over parameters that lie in one buffer, with clipping by the gradient's norm and the copies in
// bfloat16 that products read.
//
// Each parameter begins at a multiple of 1024 numbers: a block of 256 threads treats 1024 numbers of one parameter. The
// gradients lie where the backward pass left them.
#define PARAMETERS 200
struct Gradients {
  const float* at[PARAMETERS];
  int first_block[PARAMETERS + 1];  // of each parameter, among the blocks of this launch; those beyond the last are INT_MAX
  int numbers[PARAMETERS];
  float weight_decay[PARAMETERS];
  int offset;                       // of the first block's numbers in the buffer, in units of 1024
};
DEVICE int parameter_of(const Gradients& gradients, int block) {
  int below = 0, above = PARAMETERS;
  while (above - below > 1) {
    int middle = (below + above) / 2;
    if (gradients.first_block[middle] <= block) below = middle; else above = middle;
  }
  return below;
}
// Four numbers of a gradient, zeros behind its end.
DEVICE float4 four(const float* gradient, int i, int numbers) {
  if (i + 4 <= numbers && (u64)gradient % 16 == 0) return *(const float4*)(gradient + i);
  float x[4];
  for (int k = 0; k < 4; ++k) x[k] = i + k < numbers ? gradient[i + k] : 0.f;
  return make_float4(x[0], x[1], x[2], x[3]);
}

// partial [blocks]: the sum of squares of each block's share.
KERNEL __launch_bounds__(256) gradient_squares(CONSTANT(Gradients, gradients), float* partial) {
  SHARED float sums[32];
  int which = parameter_of(gradients, blockIdx.x);
  int i = (blockIdx.x - gradients.first_block[which]) * 1024 + threadIdx.x * 4;
  float4 g = four(gradients.at[which], i, gradients.numbers[which]);
  float sum = block_sum(g.x * g.x + g.y * g.y + g.z * g.z + g.w * g.w, sums);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
EXPORT(gradient_squares)

// norm [1] of all gradients, from the sums of all blocks; one block of 1024 threads.
KERNEL __launch_bounds__(1024) gradient_norm(const float* partial, int blocks, float* norm) {
  SHARED float sums[32];
  float sum = 0.f;
  for (int i = threadIdx.x; i < blocks; i += 1024) sum += partial[i];
  sum = block_sum(sum, sums);
  if (threadIdx.x == 0) norm[0] = sqrtf(sum);
}
EXPORT(gradient_norm)

// What all parameters share in an update: scalars [3] are the gradient's factor (clip 0: any norm), the inverse of the first
// moment's correction, that of the root of the second's. `step` counts the updates; where `skip` is 1 nothing will change.
// One thread.
KERNEL adamw_scalars(const float* norm, float* step, const float* skip, float* scalars, float clip, float beta1, float beta2) {
  float count = step[0] + (skip[0] == 0.f ? 1.f : 0.f);
  step[0] = count;
  scalars[0] = clip > 0.f ? fminf(1.f, clip / (norm[0] + 1e-6f)) : 1.f;
  scalars[1] = 1.f / (1.f - powf(beta1, count));
  scalars[2] = rsqrtf(1.f - powf(beta2, count));
}
EXPORT(adamw_scalars)

// Buffers begin at the same number for all; `narrow` null: no copies.
KERNEL __launch_bounds__(256) adamw(CONSTANT(Gradients, gradients), float* parameters, float* first, float* second, u16* narrow,
    const float* scalars, const float* rate, const float* skip, float beta1, float beta2, float epsilon) {
  if (skip[0] != 0.f) return;
  int which = parameter_of(gradients, blockIdx.x), numbers = gradients.numbers[which];
  int i = (blockIdx.x - gradients.first_block[which]) * 1024 + threadIdx.x * 4;
  if (i >= numbers) return;
  u64 place = ((u64)(gradients.offset + blockIdx.x) * 1024 + threadIdx.x * 4) / 4;
  float4 g4 = four(gradients.at[which], i, numbers), p4 = ((float4*)parameters)[place], m4 = ((float4*)first)[place], v4 = ((float4*)second)[place];
  float g[4] = {g4.x, g4.y, g4.z, g4.w}, p[4] = {p4.x, p4.y, p4.z, p4.w}, m[4] = {m4.x, m4.y, m4.z, m4.w}, v[4] = {v4.x, v4.y, v4.z, v4.w};
  float decay = 1.f - rate[0] * gradients.weight_decay[which], step = rate[0] * scalars[1];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    float x = g[k] * scalars[0];
    m[k] += (1.f - beta1) * (x - m[k]);
    v[k] = beta2 * v[k] + (1.f - beta2) * x * x;
    p[k] = p[k] * decay - step * m[k] / (sqrtf(v[k]) * scalars[2] + epsilon);
  }
  ((float4*)parameters)[place] = make_float4(p[0], p[1], p[2], p[3]);
  ((float4*)first)[place] = make_float4(m[0], m[1], m[2], m[3]);
  ((float4*)second)[place] = make_float4(v[0], v[1], v[2], v[3]);
  if (narrow) ((uint2*)narrow)[place] = make_uint2(pack(p[0], p[1]), pack(p[2], p[3]));
}
EXPORT(adamw)
