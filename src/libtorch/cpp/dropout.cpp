// Dropout of attention weights from a counter hash (docs/formats.md), on the CPU in one pass over memory.
// Its twin in plain operations is src/attention/dropout.rs.
#include "shim.h"
#include <ATen/Parallel.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

// One row: 0 where a weight is dropped. `out` may be `in`; otherwise they do not overlap.
#define DROP_ROW(name, number)                                                                        \
  WIDEST static void name(number* out, const number* in, uint32_t row, const int32_t* columns,        \
                          int64_t count, int32_t threshold) {                                         \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < count; ++i) {                                        \
      uint32_t x = (row ^ (uint32_t)columns[i]) * 0x7feb352dU;                                        \
      x = (x ^ (x >> 15)) * 0x846ca68bU;                                                              \
      out[i] = (int32_t)x < threshold ? (number)0 : in[i];                                            \
    }                                                                                                 \
  }
DROP_ROW(drop_row_float, float)
DROP_ROW(drop_row_double, double)

template <typename T, typename Row>
static void drop(Row row, const Tensor& out, const Tensor& in, const Tensor& rows, const Tensor& columns, int32_t threshold) {
  const int64_t keys = columns.numel(), distinct = rows.numel();
  const int32_t *r = rows.const_data_ptr<int32_t>(), *c = columns.const_data_ptr<int32_t>();
  T* to = out.mutable_data_ptr<T>();
  const T* from = in.const_data_ptr<T>();
  at::parallel_for(0, in.numel() / keys, std::max<int64_t>(1, 32768 / keys), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) row(to + i * keys, from + i * keys, r[i % distinct], c, keys, threshold);
  });
}

extern "C" {

// `in` [..., rows, keys] with 0 where dropped, into `out`, which may be `in`. `rows` and `columns` are int32 hashes, of
// all rows or of the last of them, which then repeat.
char* synth_drop(Tensor* out, Tensor* in, Tensor* rows, Tensor* columns, int threshold) {
  SHIM(
    Tensor row = rows->contiguous(); Tensor column = columns->contiguous();
    int64_t numbers = row.numel() * column.numel();
    TORCH_CHECK(out->device().is_cpu() && in->device().is_cpu() && row.device().is_cpu(), "dropout in one pass is the CPU's");
    TORCH_CHECK(out->is_contiguous() && in->is_contiguous() && out->sizes() == in->sizes(), "dropout in one pass wants whole tensors");
    TORCH_CHECK(out->scalar_type() == in->scalar_type(), "dropout in one pass wants one kind of number");
    TORCH_CHECK(numbers > 0 && in->numel() % numbers == 0, "hashes of other rows or columns than the weights have");
    if (in->scalar_type() == at::kDouble) drop<double>(drop_row_double, *out, *in, row, column, threshold);
    else drop<float>(drop_row_float, *out, *in, row, column, threshold);)
}
}
