// A branch joins the residual stream, and the sum is normalised: one pass over memory each way.
//
//   sum    = stream + dropout(branch + branch_bias)                         rounded to its kind before it is normalised
//   output = (sum - mean) / sqrt(variance + epsilon) * weight + bias        LayerNorm, arXiv 1607.06450
//   output = sum / sqrt(mean of squares + epsilon) * weight + bias          with RMS = 1, arXiv 1910.07467
//
// Macros: WIDTH; WARPS of a row and ROWS of a block, so that a lane owns two eights of a row at most: what it keeps of a row
// stays in registers; RMS; STREAM, BRANCH and OUTPUT, each float or bf16: the kinds of stream and sum, of branch, of output.
#define GROUPS ((WIDTH + 256 * WARPS - 1) / (256 * WARPS))
#define THREADS (32 * WARPS * ROWS)
#define OWN_ROW ((int)threadIdx.x / (32 * WARPS))
#define COLUMN(g) (((g) * 32 * WARPS + (int)threadIdx.x % (32 * WARPS)) * 8)
#define COUNT(column) (WIDTH % 8 ? min(8, WIDTH - (column)) : 8)

// The sum over the threads of a row, in each of them. All of the block call it; sums of calls that follow one another have
// different `place`s.
DEVICE float row_sum(float x, int place) {
  SHARED float sums[2][ROWS * WARPS];
  x = warp_sum(x);
  if (WARPS == 1) return x;
  if (threadIdx.x % 32 == 0) sums[place][threadIdx.x / 32] = x;
  __syncthreads();
  x = 0.f;
  for (int warp = 0; warp < WARPS; ++warp) x += sums[place][OWN_ROW * WARPS + warp];
  return x;
}

// The numbers as they are read again once they are stored as T.
template <class T>
DEVICE void round_to(Eight& x) {
  T stored;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    from_float(stored, x.at[i]);
    x.at[i] = to_float(stored);
  }
}

// branch null: nothing is added and `sum` not written. branch_bias, bias, mean (with RMS) null: there is none.
KERNEL __launch_bounds__(THREADS) add_norm(const STREAM* stream, const BRANCH* branch, const float* branch_bias, STREAM* sum,
    OUTPUT* output, float* mean, float* deviation, const float* weight, const float* bias, int rows, float epsilon, Dropout dropout) {
  int row = min((int)blockIdx.x * ROWS + OWN_ROW, rows - 1);  // one too many does the last again
  u64 start = (u64)row * WIDTH;
  u32 row_hash = dropout.columns && branch ? dropout.rows[row] : 0;
  Eight x[GROUPS];
  float total = 0.f;
#pragma unroll
  for (int g = 0; g < GROUPS; ++g) {
    int c = COLUMN(g);
    if (c >= WIDTH) { x[g] = zeros(); continue; }
    x[g] = load_part<WIDTH>(stream + start, c);
    if (branch) {
      Eight b = load_part<WIDTH>(branch + start, c);
      if (branch_bias) {
        Eight d = load_part<WIDTH>(branch_bias, c);
        for (int i = 0; i < 8; ++i) b.at[i] += d.at[i];
      }
      if (dropout.columns) drop(b, dropout, row_hash, dropout.columns + c, COUNT(c));
      for (int i = 0; i < 8; ++i) x[g].at[i] += b.at[i];
      store_part<WIDTH>(sum + start, c, x[g]);
      // The backward pass finds what is stored: mean and deviation are of that.
      round_to<STREAM>(x[g]);
    }
    for (int i = 0; i < 8; ++i) total += x[g].at[i];
  }
  float center = RMS ? 0.f : row_sum(total, 0) * (1.f / WIDTH), squares = 0.f;
#pragma unroll
  for (int g = 0; g < GROUPS; ++g) {
    int c = COLUMN(g);
    for (int i = 0; i < 8; ++i) {
      float d = x[g].at[i] - center;
      if (c + i < WIDTH) squares += d * d;
    }
  }
  float inverse = rsqrtf(row_sum(squares, 1) * (1.f / WIDTH) + epsilon);
  if (threadIdx.x % (32 * WARPS) == 0) {
    if (!RMS) mean[row] = center;
    deviation[row] = inverse;
  }
#pragma unroll
  for (int g = 0; g < GROUPS; ++g) {
    int c = COLUMN(g);
    if (c >= WIDTH) continue;
    Eight w = load_part<WIDTH>(weight, c), y = bias ? load_part<WIDTH>(bias, c) : zeros();
    for (int i = 0; i < 8; ++i) y.at[i] += (x[g].at[i] - center) * inverse * w.at[i];
    store_part<WIDTH>(output + start, c, y);
  }
}
EXPORT(add_norm)

// From the gradients of sum (null: none) and output to those of stream, and of branch where it is not null. Each block
// walks rows and leaves its sums over them of the gradients of weight, bias and branch_bias: partial [blocks, 3, WIDTH].
KERNEL __launch_bounds__(THREADS, 512 / THREADS) add_norm_backward(const OUTPUT* output_gradient, const STREAM* sum_gradient, const STREAM* sum,
    const float* mean, const float* deviation, const float* weight, STREAM* stream_gradient, BRANCH* branch_gradient,
    float* partial, int rows, Dropout dropout) {
  SHARED float block[WIDTH];
  Eight of_weight[GROUPS], of_bias[GROUPS], of_branch[GROUPS];
#pragma unroll
  for (int g = 0; g < GROUPS; ++g) of_weight[g] = of_bias[g] = of_branch[g] = zeros();
  for (int first = blockIdx.x * ROWS; first < rows; first += gridDim.x * ROWS) {
    bool counts = first + OWN_ROW < rows;
    int row = counts ? first + OWN_ROW : rows - 1;
    u64 start = (u64)row * WIDTH;
    Eight d[GROUPS], normal[GROUPS], r[GROUPS];
    float center = RMS ? 0.f : mean[row], inverse = deviation[row], mean_d = 0.f, mean_dn = 0.f;
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
      int c = COLUMN(g);
      if (c >= WIDTH) continue;
      d[g] = load_part<WIDTH>(output_gradient + start, c);
      normal[g] = load_part<WIDTH>(sum + start, c);
      r[g] = sum_gradient ? load_part<WIDTH>(sum_gradient + start, c) : zeros();
    }
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
      int c = COLUMN(g);
      if (c >= WIDTH) continue;
      Eight w = load_part<WIDTH>(weight, c);
      for (int i = 0; i < 8; ++i) {
        float n = c + i < WIDTH ? (normal[g].at[i] - center) * inverse : 0.f, y = counts ? d[g].at[i] : 0.f;
        of_weight[g].at[i] += y * n;
        of_bias[g].at[i] += y;
        y *= w.at[i];
        mean_d += y;
        mean_dn += y * n;
        normal[g].at[i] = n;
        d[g].at[i] = y;
      }
    }
    mean_d = row_sum(mean_d, 0) * (RMS ? 0.f : 1.f / WIDTH);
    mean_dn = row_sum(mean_dn, 1) * (1.f / WIDTH);
    if (!counts) continue;
    u32 row_hash = dropout.columns && branch_gradient ? dropout.rows[row] : 0;
#pragma unroll
    for (int g = 0; g < GROUPS; ++g) {
      int c = COLUMN(g);
      if (c >= WIDTH) continue;
      for (int i = 0; i < 8; ++i) r[g].at[i] += inverse * (d[g].at[i] - mean_d - normal[g].at[i] * mean_dn);
      store_part<WIDTH>(stream_gradient + start, c, r[g]);
      if (!branch_gradient) continue;
      if (dropout.columns) drop(r[g], dropout, row_hash, dropout.columns + c, COUNT(c));
      store_part<WIDTH>(branch_gradient + start, c, r[g]);
      for (int i = 0; i < 8; ++i) of_branch[g].at[i] += r[g].at[i];
    }
  }
  for (int k = 0; k < 3; ++k) {
    // The rows of the block add one after another: an order that does not change.
    for (int own = 0; own < ROWS; ++own) {
      if (OWN_ROW == own)
#pragma unroll
        for (int g = 0; g < GROUPS; ++g) {
          int c = COLUMN(g);
          const Eight& x = k == 0 ? of_weight[g] : k == 1 ? of_bias[g] : of_branch[g];
          for (int i = 0; i < 8; ++i)
            if (c + i < WIDTH) block[c + i] = (own ? block[c + i] : 0.f) + x.at[i];
        }
      __syncthreads();
    }
    for (int c = threadIdx.x; c < WIDTH; c += THREADS) partial[((u64)blockIdx.x * 3 + k) * WIDTH + c] = block[c];
    __syncthreads();
  }
}
EXPORT(add_norm_backward)
