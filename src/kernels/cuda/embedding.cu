// Rows of a table, and the gradient back to them in an order that does not change.
//
// Macros: WIDTH; STREAM, float or bf16: the kind of what is made of the rows. Tables are float32.

// output[r] = dropout(factor table[tokens[r]] + positions[r % length]); positions null: none. A thread for eight columns,
// 256 threads a block.
KERNEL __launch_bounds__(256) embedding(const i64* tokens, const float* table, const float* positions, STREAM* output, int rows,
    int length, float factor, Dropout dropout) {
  const int eights = (WIDTH + 7) / 8;
  u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
  int row = i / eights, c = i % eights * 8;
  if (row >= rows) return;
  Eight x = load_part<WIDTH>(table + tokens[row] * WIDTH, c);
  for (int k = 0; k < 8; ++k) x.at[k] *= factor;
  if (positions) {
    Eight p = load_part<WIDTH>(positions + (u64)(row % length) * WIDTH, c);
    for (int k = 0; k < 8; ++k) x.at[k] += p.at[k];
  }
  if (dropout.columns) drop(x, dropout, dropout.rows[row], dropout.columns + c, min(8, WIDTH - c));
  store_part<WIDTH>(output + (u64)row * WIDTH, c, x);
}
EXPORT(embedding)

// The gradients of rows that stand for one token are neighbours in `sorted`, whose entries came from `order`. A block sums
// CHUNK of them. A run of one token that lies within a chunk goes to the table's gradient; a piece of a longer one waits in
// edges [chunks, 2, WIDTH]: at 0 where the run began before the chunk, at 1 where it begins in it and goes on.
// grid (chunks, columns), a thread for eight columns.
#define CHUNK 32
KERNEL embedding_gradient(const i64* sorted, const i64* order, const STREAM* gradient, float* table_gradient, float* edges,
    int tokens, float factor, Dropout dropout) {
  int c = (blockIdx.y * blockDim.x + threadIdx.x) * 8, first = blockIdx.x * CHUNK, end = min(first + CHUNK, tokens);
  if (c >= WIDTH) return;
  int count = min(8, WIDTH - c);
  bool began_before = first > 0 && sorted[first - 1] == sorted[first];
  Eight sum = zeros();
  for (int p = first; p < end; ++p) {
    i64 row = order[p], token = sorted[p];
    Eight d = load_part<WIDTH>(gradient + row * WIDTH, c);
    if (dropout.columns) drop(d, dropout, dropout.rows[row], dropout.columns + c, count);
    for (int k = 0; k < 8; ++k) sum.at[k] += d.at[k] * factor;
    bool goes_on = p + 1 < tokens && sorted[p + 1] == token;
    if (goes_on && p + 1 < end) continue;
    if (began_before || goes_on) {
      store_part<WIDTH>(edges + ((u64)blockIdx.x * 2 + (began_before ? 0 : 1)) * WIDTH, c, sum);
    } else {
      Eight old = load_part<WIDTH>(table_gradient + token * WIDTH, c);
      for (int k = 0; k < 8; ++k) old.at[k] += sum.at[k];
      store_part<WIDTH>(table_gradient + token * WIDTH, c, old);
    }
    sum = zeros();
    began_before = false;
  }
}
EXPORT(embedding_gradient)

// The runs that span chunks: the block of the chunk in which one begins adds its pieces up. The same grid.
KERNEL embedding_edges(const i64* sorted, float* table_gradient, const float* edges, int tokens) {
  int c = (blockIdx.y * blockDim.x + threadIdx.x) * 8, first = blockIdx.x * CHUNK, end = first + CHUNK;
  if (c >= WIDTH || end >= tokens) return;
  i64 token = sorted[end - 1];
  bool began_before = sorted[first] == token && first > 0 && sorted[first - 1] == token;
  if (began_before || sorted[end] != token) return;
  Eight sum = load_part<WIDTH>(edges + ((u64)blockIdx.x * 2 + 1) * WIDTH, c);
  for (int chunk = blockIdx.x + 1; chunk * CHUNK < tokens && sorted[chunk * CHUNK] == token; ++chunk) {
    Eight piece = load_part<WIDTH>(edges + (u64)chunk * 2 * WIDTH, c);
    for (int k = 0; k < 8; ++k) sum.at[k] += piece.at[k];
  }
  Eight old = load_part<WIDTH>(table_gradient + token * WIDTH, c);
  for (int k = 0; k < 8; ++k) old.at[k] += sum.at[k];
  store_part<WIDTH>(table_gradient + token * WIDTH, c, old);
}
EXPORT(embedding_edges)

// The positions' gradient: partial [gridDim.y, length, WIDTH], each the sum over a share of the batch. A thread for eight
// columns of a position.
KERNEL __launch_bounds__(256) position_gradient(const STREAM* gradient, float* partial, int batch, int length, Dropout dropout) {
  const int eights = (WIDTH + 7) / 8;
  int i = blockIdx.x * 256 + threadIdx.x, position = i / eights, c = i % eights * 8;
  if (position >= length) return;
  int count = min(8, WIDTH - c);
  Eight sum = zeros();
#pragma unroll 4
  for (int sample = blockIdx.y; sample < batch; sample += gridDim.y) {
    int row = sample * length + position;
    Eight d = load_part<WIDTH>(gradient + (u64)row * WIDTH, c);
    if (dropout.columns) drop(d, dropout, dropout.rows[row], dropout.columns + c, count);
    for (int k = 0; k < 8; ++k) sum.at[k] += d.at[k];
  }
  store_part<WIDTH>(partial + ((u64)blockIdx.y * length + position) * WIDTH, c, sum);
}
EXPORT(position_gradient)
