// The last step of sums over rows: each block of the kernel before left one row of partial sums.
//
// partial [rows, columns] -> up to three outputs of `each` columns side by side, null where not wanted; all float32. Blocks
// of 32 x 32 threads, one for 32 columns.
KERNEL column_sums(const float* partial, int rows, int columns, float* first, float* second, float* third, int each) {
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
  float* to = column < each ? first : column < 2 * each ? second : third;
  if (to) to[column % each] = sum;
}
EXPORT(column_sums)
