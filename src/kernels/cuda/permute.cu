// A copy with its first three axes in another order.
//
// Macros: NUMBER, float or bf16. output [first, second, third, width] in one piece; input with so many elements between
// neighbours of each axis, rows of `width` elements in one piece. 8 divides width and strides.
KERNEL __launch_bounds__(256) permute(const NUMBER* input, NUMBER* output, i64 total, int second, int third, int width, i64 first_stride,
    i64 second_stride, i64 third_stride) {
  i64 place = (i64)blockIdx.x * 256 + threadIdx.x;
  if (place >= total) return;
  int eights = width / 8, column = place % eights * 8;
  i64 row = place / eights;
  i64 from = row % third * third_stride + row / third % second * second_stride + row / third / second * first_stride;
  store(output + row * width + column, load(input + from + column));
}
EXPORT(permute)
