// What all kernels share: numbers, vectors of eight, sums over a warp, dropout. No include: NVRTC compiles it anywhere.
//
// A text is compiled for one set of sizes and kinds, given as macros (`src/kernels` names them for each text). Sums are
// float32 and in a fixed order, so that the same inputs give the same bits. Tests compile the same text for the host,
// with host.h before it.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

struct bf16 { u16 bits; };
struct Eight { float at[8]; };

#ifndef HOST
#define DEVICE static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define SHARED __shared__
#define EXPORT(kernel)
#define CONSTANT(type, name) const __grid_constant__ type name

// Two floats rounded to bfloat16, the first in the lower half.
DEVICE u32 pack(float a, float b) {
  u32 word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(b), "f"(a));
  return word;
}
DEVICE float exp2_(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEVICE u32 max_pairs(u32 a, u32 b) {
  u32 word;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(word) : "r"(a), "r"(b));
  return word;
}
// Values that the compiler must read from these registers again: it may not keep what it made of them before.
DEVICE void forget(uint4& x) { asm volatile("" : "+r"(x.x), "+r"(x.y), "+r"(x.z), "+r"(x.w)); }
// Memory that is read or written once.
DEVICE uint4 load_once(const uint4* p) { return __ldcs(p); }
DEVICE void store_once(uint4* p, uint4 x) { __stcs(p, x); }
DEVICE float shuffle(float x, int lanes) { return __shfl_xor_sync(~0u, x, lanes); }
#endif

#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f
#define LOWEST -3.0e38f

DEVICE float as_float(u32 bits) { return __uint_as_float(bits); }
DEVICE float low(u32 pair) { return as_float(pair << 16); }
DEVICE float high(u32 pair) { return as_float(pair & 0xffff0000u); }

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return as_float((u32)x.bits << 16); }
DEVICE void from_float(float& to, float x) { to = x; }
DEVICE void from_float(bf16& to, float x) { to.bits = (u16)pack(x, 0.f); }

DEVICE Eight zeros() {
  Eight x;
  for (int i = 0; i < 8; ++i) x.at[i] = 0.f;
  return x;
}
DEVICE Eight unpack(uint4 w) {
  Eight x;
  u32 words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x.at[2 * i] = low(words[i]);
    x.at[2 * i + 1] = high(words[i]);
  }
  return x;
}
DEVICE uint4 pack(const Eight& x) {
  return make_uint4(pack(x.at[0], x.at[1]), pack(x.at[2], x.at[3]), pack(x.at[4], x.at[5]), pack(x.at[6], x.at[7]));
}

// Eight neighbours at an address that 16 bytes divide.
DEVICE Eight load(const bf16* p) { return unpack(*(const uint4*)p); }
DEVICE Eight load(const float* p) {
  float4 a = ((const float4*)p)[0], b = ((const float4*)p)[1];
  Eight x;
  x.at[0] = a.x; x.at[1] = a.y; x.at[2] = a.z; x.at[3] = a.w;
  x.at[4] = b.x; x.at[5] = b.y; x.at[6] = b.z; x.at[7] = b.w;
  return x;
}
DEVICE void store(bf16* p, const Eight& x) { *(uint4*)p = pack(x); }
DEVICE void store(float* p, const Eight& x) {
  ((float4*)p)[0] = make_float4(x.at[0], x.at[1], x.at[2], x.at[3]);
  ((float4*)p)[1] = make_float4(x.at[4], x.at[5], x.at[6], x.at[7]);
}

// The neighbours that a row of `width` has from `column` on, zeros behind its end. Rows whose width 8 divides begin at
// such addresses and end with a whole vector; others are read one by one.
template <int width, class T>
DEVICE Eight load_part(const T* row, int column) {
  if (width % 8 == 0) return load(row + column);
  Eight x = zeros();
  for (int i = 0; i < 8; ++i)
    if (column + i < width) x.at[i] = to_float(row[column + i]);
  return x;
}
template <int width, class T>
DEVICE void store_part(T* row, int column, const Eight& x) {
  if (width % 8 == 0) return store(row + column, x);
  for (int i = 0; i < 8; ++i)
    if (column + i < width) from_float(row[column + i], x.at[i]);
}

DEVICE float warp_sum(float x) {
  for (int lanes = 16; lanes; lanes >>= 1) x += shuffle(x, lanes);
  return x;
}
DEVICE float warp_max(float x) {
  for (int lanes = 16; lanes; lanes >>= 1) x = fmaxf(x, shuffle(x, lanes));
  return x;
}
// The sum over a block of whole warps, in every thread; `sums` has a place for each warp.
DEVICE float block_sum(float x, float* sums) {
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = x;
  __syncthreads();
  x = threadIdx.x % 32 < blockDim.x / 32 ? sums[threadIdx.x % 32] : 0.f;
  return warp_sum(x);
}

// Dropout by a counter hash (docs/formats.md): the number at (row, column) is dropped where a mix of the hashes of both
// falls below a threshold. `columns` null: nothing is dropped.
struct Dropout {
  const u32* rows;
  const u32* columns;
  int threshold;
  float scale;
};
DEVICE bool dropped(u32 row, u32 column, int threshold) {
  u32 x = (row ^ column) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return (int)x < threshold;
}
// Eight neighbours of a row, of which `count` count; `columns` are their columns' hashes.
DEVICE void drop(Eight& x, const Dropout& dropout, u32 row, const u32* columns, int count) {
#pragma unroll
  for (int i = 0; i < 8; ++i)
    if (i < count) x.at[i] = dropped(row, columns[i], dropout.threshold) ? 0.f : x.at[i] * dropout.scale;
}
