// output = dropout(activation(x + bias)), and back.
//
// Macros: WIDTH; NUMBER, float or bf16, of x and output; ACTIVATION: 0 relu, 1 gelu by erf, 2 gelu by tanh (arXiv 1606.08415).
// x [rows, WIDTH]. A thread owns eight columns; blocks are (columns, rows) of threads, the grid likewise.
DEVICE float activated(float x) {
  if (ACTIVATION == 0) return fmaxf(x, 0.f);
  if (ACTIVATION == 1) return 0.5f * x * (1.f + erff(x * 0.70710678f));
  return 0.5f * x * (1.f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
}
DEVICE float slope(float x) {
  if (ACTIVATION == 1) return 0.5f * (1.f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
  float t = tanhf(0.79788456f * (x + 0.044715f * x * x * x));
  return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * 0.79788456f * (1.f + 0.134145f * x * x);
}

// Relu in place: output = x.
KERNEL __launch_bounds__(256) bias_activation(const NUMBER* x, const float* bias, NUMBER* output, int rows, Dropout dropout) {
  int c = (blockIdx.x * blockDim.x + threadIdx.x) * 8, count = WIDTH % 8 ? min(8, WIDTH - c) : 8;
  if (c >= WIDTH) return;
  u32 columns[8];
  for (int i = 0; i < count; ++i) columns[i] = dropout.columns ? dropout.columns[c + i] : 0;
  Eight b = bias ? load_part<WIDTH>(bias, c) : zeros();
#pragma unroll 4
  for (int row = blockIdx.y * blockDim.y + threadIdx.y; row < rows; row += gridDim.y * blockDim.y) {
    u64 start = (u64)row * WIDTH;
    Eight y = load_part<WIDTH>(x + start, c);
    for (int i = 0; i < 8; ++i) y.at[i] = activated(y.at[i] + b.at[i]);
    if (dropout.columns) drop(y, dropout, dropout.rows[row], columns, count);
    store_part<WIDTH>(output + start, c, y);
  }
}
EXPORT(bias_activation)

// From the output's gradient to that of x, which may take its place, and its sums over rows: partial [gridDim.y *
// blockDim.y, WIDTH] (null: none). `kept` is the output for relu (positive exactly where the gradient passes), else x.
KERNEL __launch_bounds__(256) bias_activation_backward(const NUMBER* output_gradient, const NUMBER* kept, const float* bias,
    NUMBER* gradient, float* partial, int rows, Dropout dropout) {
  int c = (blockIdx.x * blockDim.x + threadIdx.x) * 8, count = WIDTH % 8 ? min(8, WIDTH - c) : 8;
  if (c >= WIDTH) return;
  u32 columns[8];
  for (int i = 0; i < count; ++i) columns[i] = dropout.columns ? dropout.columns[c + i] : 0;
  int first = blockIdx.y * blockDim.y + threadIdx.y;
  Eight sum = zeros(), b = ACTIVATION && bias ? load_part<WIDTH>(bias, c) : zeros();
#pragma unroll 4
  for (int row = first; row < rows; row += gridDim.y * blockDim.y) {
    u64 start = (u64)row * WIDTH;
    Eight d = load_part<WIDTH>(output_gradient + start, c), k = load_part<WIDTH>(kept + start, c);
    if (ACTIVATION == 0) {
      for (int i = 0; i < 8; ++i) d.at[i] = k.at[i] > 0.f ? d.at[i] * dropout.scale : 0.f;
    } else {
      if (dropout.columns) drop(d, dropout, dropout.rows[row], columns, count);
      for (int i = 0; i < 8; ++i) d.at[i] *= slope(k.at[i] + b.at[i]);
    }
    for (int i = 0; i < 8; ++i) sum.at[i] += d.at[i];
    store_part<WIDTH>(gradient + start, c, d);
  }
  if (partial) store_part<WIDTH>(partial + (u64)first * WIDTH, c, sum);
}
EXPORT(bias_activation_backward)
