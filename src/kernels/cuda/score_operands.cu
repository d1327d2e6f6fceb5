// Queries and keys of a mixture's parts side by side, and their gradients back into the projections they came from.
//
//   queries[row, head, part] = scale_part weight_part[head] source      keys[row, head, part] = source
//
// A source is columns of `packed` [rows, COLUMNS], all projections of a layer's input, a head's own ones side by side,
// through relu or not; or a table by position, float32 [heads or 1, length of the table, width]. A row is a position of a
// sample, `length` positions each.
//
// Macros: HEADS; PARTS; WIDTHS, of each part, WIDTH their sum; QUERY_COLUMNS, KEY_COLUMNS: the first of a part's, -1 for a
// table; QUERY_RELU; SCALES; COLUMNS; VALUE_COLUMN, VALUE_WIDTH of a head; WEIGHTED 1: `weights` [PARTS, WEIGHT_HEADS] are
// there, WEIGHT_HEADS 1 where heads share. 8 divides all widths and columns.
#define EIGHTS (WIDTH / 8)

struct Tables {
  const float* queries[3];
  const float* keys[3];
  int query_heads[3];  // between heads, in elements; 0 where they share
  int key_heads[3];
};

DEVICE int width_of(int part) {
  const int widths[PARTS] = {WIDTHS};
  return widths[part];
}
DEVICE int query_column(int part) {
  const int columns[PARTS] = {QUERY_COLUMNS};
  return columns[part];
}
DEVICE int key_column(int part) {
  const int columns[PARTS] = {KEY_COLUMNS};
  return columns[part];
}
DEVICE int relu_of(int part) {
  const int relu[PARTS] = {QUERY_RELU};
  return relu[part];
}
DEVICE float factor_of(int part, int head, const float* weights) {
  const float scales[PARTS] = {SCALES};
  return WEIGHTED ? scales[part] * weights[part * WEIGHT_HEADS + (WEIGHT_HEADS > 1 ? head : 0)] : scales[part];
}
DEVICE void relu(Eight& x) {
  for (int i = 0; i < 8; ++i) x.at[i] = fmaxf(x.at[i], 0.f);
}

// queries [rows, HEADS, WIDTH]; keys [key_rows, HEADS, WIDTH]: key_rows is `length` where no sample has keys of its own.
KERNEL __launch_bounds__(256) score_operands(const bf16* packed, CONSTANT(Tables, tables), const float* weights, bf16* queries,
    bf16* keys, int rows, int key_rows, int length) {
  i64 place = (i64)blockIdx.x * 256 + threadIdx.x;
  int column = place % EIGHTS * 8, head = place / EIGHTS % HEADS, row = place / (EIGHTS * HEADS);
  if (row >= rows + key_rows) return;
  bool of_keys = row >= rows;
  if (of_keys) row -= rows;
  bf16* to = (of_keys ? keys : queries) + ((i64)row * HEADS + head) * WIDTH + column;
#pragma unroll
  for (int part = 0; part < PARTS; ++part) {
    if (column >= 0 && column < width_of(part)) {
      int first = of_keys ? key_column(part) : query_column(part);
      Eight x;
      if (first >= 0) {
        x = load(packed + (i64)row * COLUMNS + first + head * width_of(part) + column);
      } else {
        const float* table = of_keys ? tables.keys[part] : tables.queries[part];
        i64 start = (i64)head * (of_keys ? tables.key_heads[part] : tables.query_heads[part]);
        x = load(table + start + (i64)(row % length) * width_of(part) + column);
      }
      if (!of_keys) {
        if (relu_of(part)) relu(x);
        float factor = factor_of(part, head, weights);
        for (int i = 0; i < 8; ++i) x.at[i] *= factor;
      }
      store(to, x);
    }
    column -= width_of(part);
  }
}
EXPORT(score_operands)

// The gradient of `packed`, from those of queries and keys (null: no sample had its own) [rows, HEADS, WIDTH] and values
// [rows, HEADS, VALUE_WIDTH]. A thread owns eight columns and walks rows; partial [gridDim.y * blockDim.y, PARTS, COLUMNS / 8]
// are its sums of a weight's gradient.
KERNEL __launch_bounds__(256) score_operand_gradients(const bf16* packed, const float* weights, const bf16* of_queries,
    const bf16* of_keys, const bf16* of_values, bf16* gradient, float* partial, int rows) {
  int column = (blockIdx.x * blockDim.x + threadIdx.x) * 8, first = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= COLUMNS) return;
  float dots[PARTS];
  for (int part = 0; part < PARTS; ++part) dots[part] = 0.f;
#pragma unroll 2
  for (int row = first; row < rows; row += gridDim.y * blockDim.y) {
    Eight sum = zeros();
    int start = 0;
#pragma unroll
    for (int part = 0; part < PARTS; ++part) {
      const float scales[PARTS] = {SCALES};
      int width = width_of(part), query = column - query_column(part), key = column - key_column(part);
      if (query_column(part) >= 0 && query >= 0 && query < HEADS * width) {
        int head = query / width;
        Eight d = load(of_queries + ((i64)row * HEADS + head) * WIDTH + start + query % width);
        if (relu_of(part) || WEIGHTED) {
          Eight x = load(packed + (i64)row * COLUMNS + column);
          if (relu_of(part))
            for (int i = 0; i < 8; ++i) d.at[i] = x.at[i] > 0.f ? d.at[i] : 0.f;
          for (int i = 0; i < 8; ++i) dots[part] += d.at[i] * x.at[i] * scales[part];
        }
        float factor = factor_of(part, head, weights);
        for (int i = 0; i < 8; ++i) sum.at[i] += d.at[i] * factor;
      }
      if (key_column(part) >= 0 && key >= 0 && key < HEADS * width) {
        Eight d = load(of_keys + ((i64)row * HEADS + key / width) * WIDTH + start + key % width);
        for (int i = 0; i < 8; ++i) sum.at[i] += d.at[i];
      }
      start += width;
    }
    int value = column - VALUE_COLUMN;
    if (value >= 0 && value < HEADS * VALUE_WIDTH) sum = load(of_values + (i64)row * HEADS * VALUE_WIDTH + value);
    store(gradient + (i64)row * COLUMNS + column, sum);
  }
  if (WEIGHTED)
    for (int part = 0; part < PARTS; ++part) partial[((i64)first * PARTS + part) * (COLUMNS / 8) + column / 8] = dots[part];
}
EXPORT(score_operand_gradients)

// A table's gradient, but for its factor: sums over samples of `width` columns from `start` on of of_operands [samples *
// length, HEADS, WIDTH]; partial [gridDim.y, HEADS, length, width], each row the sum of a share of the samples.
KERNEL __launch_bounds__(256) table_gradient(const bf16* of_operands, float* partial, int samples, int length, int start, int width) {
  i64 place = (i64)blockIdx.x * 256 + threadIdx.x;
  int column = place % (width / 8) * 8, position = place / (width / 8) % length, head = place / (width / 8) / length;
  if (head >= HEADS) return;
  Eight sum = zeros();
#pragma unroll 4
  for (int sample = blockIdx.y; sample < samples; sample += gridDim.y) {
    Eight d = load(of_operands + (((i64)sample * length + position) * HEADS + head) * WIDTH + start + column);
    for (int i = 0; i < 8; ++i) sum.at[i] += d.at[i];
  }
  store(partial + (((i64)blockIdx.y * HEADS + head) * length + position) * width + column, sum);
}
EXPORT(table_gradient)
