// The last step of sums over rows: each block of the kernel before left one row of partial sums.
//
// partial [rows, columns] float32 -> up to three outputs of `each` columns side by side, null where not wanted; in
// OUTPUT's kind. With `add` they are added to what is there. Blocks of 32 x 32 threads, one for 32 columns.
KERNEL column_sums(const float* partial, int rows, int columns, OUTPUT* first, OUTPUT* second, OUTPUT* third, int each, int add) {
  SHARED float sums[32][33];
  int column = blockIdx.x * 32 + threadIdx.x;
  float sum = 0.f;
  if (column < columns)
    for (int row = threadIdx.y; row < rows; row += 32) sum += partial[(u64)row * columns + column];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || column >= columns) return;
  sum = 0.f;
  for (int i = 0; i < 32; ++i) sum += sums[i][threadIdx.x];
  OUTPUT* to = column < each ? first : column < 2 * each ? second : third;
  if (!to) return;
  to += column % each;
  from_float(*to, add ? to_float(*to) + sum : sum);
}
EXPORT(column_sums)
