// The two products inside a feed-forward layer that have elementwise work behind them, for Hopper (sm_90a):
//   up    h = dropout(relu(x W^T + bias)), and a bit for each number of h that tells whether it is positive
//   down  d = the bit ? (g V) scale : 0, and the sums of d over rows: from the gradient behind the second product to the
//         one before relu, of which the bias's gradient is the sum
// x, g [rows, depth], W [columns, depth], V [depth, columns], h, d [rows, columns] are bfloat16; columns a multiple of 256,
// depth of 64. bits [ceil(rows / 4), columns / 8] words: bit 8 i + j of word (R, C) is h's number (4 R + i, 8 C + j).
// After tile_products.cuh: here is what the three warps do that finish a tile.

// A bit for each of eight numbers, none below 0, that is not 0: added to `sum`. A number's 16 bits and 0x7fff have their
// highest bit 1 for all but 0; it becomes a byte, 0 or -1, and that is multiplied by -1, -2, -4, ...
DEVICE u32 add_positive(uint4 x, u32 sum) {
  u32 ones = 0x7fff7fffu, signs = 0xfdb9;
  sum = add_byte_products(choose_bytes(x.x + ones, x.y + ones, signs), 0xf8fcfeffu, sum);
  return add_byte_products(choose_bytes(x.z + ones, x.w + ones, signs), 0x80c0e0f0u, sum);
}
// 0 where the hash drops, of eight numbers.
DEVICE uint4 keep(uint4 x, u32 row, const u32 (&columns)[8], int threshold) {
  u32 words[4] = {x.x, x.y, x.z, x.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (dropped(row, columns[2 * i], threshold)) words[i] &= 0xffff0000u;
    if (dropped(row, columns[2 * i + 1], threshold)) words[i] &= 0x0000ffffu;
  }
  return make_uint4(words[0], words[1], words[2], words[3]);
}

// The rows that one of the three warps finishes: up to six times four of each half.
struct Fours {
  int warp = threadIdx.x / 32 - 1, lane = threadIdx.x % 32;
  __device__ bool has(int half, int i) const { return first(half) + 3 * i < 16; }
  // Within the tile.
  __device__ int row(int half, int i) const { return half * 64 + 4 * (first(half) + 3 * i); }
  __device__ int first(int half) const { return (warp + 2 * half) % 3; }
};

// What dropout asks of a tile: the hashes of a lane's eight columns, and of rows; lane 4 i + j has those of row j of four i
// in both halves.
struct Hashes {
  u32 columns[8], rows[2];
};
DEVICE Hashes hashes_of(const Dropout& dropout, const Work& work, const Fours& fours, int tile) {
  Hashes hashes;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    int row = work.row(tile) + fours.row(half, fours.lane / 4) + fours.lane % 4;
    hashes.rows[half] = row < work.rows && fours.lane < 24 ? dropout.rows[row] : 0;
  }
  for (int i = 0; i < 8; ++i) hashes.columns[i] = dropout.columns[work.column(tile) + fours.lane * 8 + i];
  return hashes;
}

// The three warps. A lane has eight columns.
template <bool dropping>
DEVICE void finish_up(char* memory, u32 shared, bf16* output, u32* bits, Dropout dropout, Work work) {
  Fours fours;
  int lane = fours.lane;
  Hashes next{};  // asked for a tile ahead
  if (dropping && work.first < work.count) next = hashes_of(dropout, work, fours, work.first);
  u32 turn = 0;
  for (int tile = work.first; tile < work.count; tile += work.stride, turn ^= 1) {
    int top = work.row(tile), column = work.column(tile) + lane * 8;
    Hashes hashes = next;
    if (dropping && tile + work.stride < work.count) next = hashes_of(dropout, work, fours, tile + work.stride);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      wait_for(shared + STAGED(half), turn);
      u32 rows[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) rows[j] = dropping ? __shfl_sync(~0u, hashes.rows[half], j) : 0;
#pragma unroll 1
      for (int i = 0; fours.has(half, i); ++i) {
        int row = fours.row(half, i), first = top + row;
        const char* from = memory + WAITING + row * ROW_BYTES + lane * 16;
        bf16* to = output + (u64)first * work.columns + column;
        uint4 x[4];
        u32 word = 0;
#pragma unroll
        for (int j = 0; j < 4; ++j) x[j] = *(const uint4*)(from + j * ROW_BYTES);
        if (dropping) {
#pragma unroll
          for (int j = 0; j < 4; ++j) x[j] = keep(x[j], rows[j], hashes.columns, dropout.threshold);
#pragma unroll
          for (int j = 0; j < 4; ++j) rows[j] = __shfl_sync(~0u, hashes.rows[half], 4 * i + 4 + j);  // of the next
        }
#pragma unroll
        for (int j = 3; j >= 0; --j) word = add_positive(x[j], word << 8);
#pragma unroll
        for (int j = 0; j < 4; ++j)
          if (first + j < work.rows) store_once((uint4*)(to + j * work.columns), x[j]);
        if (first < work.rows) bits[(u64)(first / 4) * (work.columns / 8) + column / 8] = word;
      }
      __syncwarp();
      if (lane == 0) arrive(shared + TAKEN(half));
    }
  }
}

// Eight numbers, of which those stay whose bit of byte `i` is 1; shifted[j] has bit j of each byte as the byte's sign.
DEVICE uint4 mask(uint4 x, const u32 (&shifted)[8], int i) {
  u32 nibbles = (8 + i) * 0x11 | (12 + i) * 0x1100;
  return make_uint4(x.x & choose_bytes(shifted[0], shifted[1], nibbles), x.y & choose_bytes(shifted[2], shifted[3], nibbles),
                    x.z & choose_bytes(shifted[4], shifted[5], nibbles), x.w & choose_bytes(shifted[6], shifted[7], nibbles));
}
// The sums of three warps' rows, side by side in `sums`, to one row.
DEVICE void sum_warps(float* sums, int thread, const Eight& own, float* to) {
  wait_for_threads(3, 96);
  store(sums + thread * 8, own);
  wait_for_threads(3, 96);
  if (thread >= TILE_COLUMNS / 8 || !to) return;
  Eight sum = load(sums + thread * 8);
  for (int warp = 1; warp < 3; ++warp) {
    Eight more = load(sums + warp * TILE_COLUMNS + thread * 8);
    for (int i = 0; i < 8; ++i) sum.at[i] += more.at[i];
  }
  store(to + thread * 8, sum);
}

// The three warps. partial [ceil(rows / 128), columns]
DEVICE void finish_down(char* memory, u32 shared, bf16* output, const u32* bits, float* partial, Work work) {
  Fours fours;
  int lane = fours.lane;
  u32 turn = 0;
  for (int tile = work.first; tile < work.count; tile += work.stride, turn ^= 1) {
    int top = work.row(tile), column = work.column(tile) + lane * 8;
    u32 words[2][6];  // asked for before the tile is there
#pragma unroll
    for (int i = 0; i < 12; ++i) {
      int first = top + fours.row(i / 6, i % 6);
      bool there = fours.has(i / 6, i % 6) && first < work.rows;
      words[i / 6][i % 6] = there ? bits[(u64)(first / 4) * (work.columns / 8) + column / 8] : 0;
    }
    Eight sum = zeros();
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      wait_for(shared + STAGED(half), turn);
#pragma unroll
      for (int i = 0; i < 6; ++i) {
        if (!fours.has(half, i)) continue;
        int row = fours.row(half, i), first = top + row;
        const char* from = memory + WAITING + row * ROW_BYTES + lane * 16;
        bf16* to = output + (u64)first * work.columns + column;
        u32 shifted[8];
        for (int j = 0; j < 8; ++j) shifted[j] = words[half][i] << (7 - j);
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          uint4 x = mask(*(const uint4*)(from + j * ROW_BYTES), shifted, j);
          Eight numbers = unpack(x);
          for (int k = 0; k < 8; ++k) sum.at[k] += numbers.at[k];
          if (first + j < work.rows) store_once((uint4*)(to + j * work.columns), x);
        }
      }
      __syncwarp();
      if (lane == 0) arrive(shared + TAKEN(half));
    }
    float* to = partial && top < work.rows ? partial + (u64)(top / TILE_ROWS) * work.columns + work.column(tile) : nullptr;
    sum_warps((float*)(memory + FLOATS), threadIdx.x - 32, sum, to);
  }
}

KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) feed_forward_up(CONSTANT(TensorMap, x), CONSTANT(TensorMap, weight),
    const float* bias, bf16* output, u32* bits, int rows, int columns, int depth, float scale, Dropout dropout) {
  char* memory = own_memory();
  u32 shared = shared_address(memory);
  Work work = work_of(rows, columns, depth);
  start(shared);
  int group = threadIdx.x / 128;
  if (group) multiply<false, true>(memory, shared, group - 1, bias, scale, work);
  else if (threadIdx.x == 0) bring<false>(shared, &x, &weight, work);
  else if (threadIdx.x < 32) {}
  else if (dropout.columns) finish_up<true>(memory, shared, output, bits, dropout, work);
  else finish_up<false>(memory, shared, output, bits, dropout, work);
  wait_for_cluster();
}

KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) feed_forward_down(CONSTANT(TensorMap, gradient),
    CONSTANT(TensorMap, weight), const u32* bits, bf16* output, float* partial, int rows, int columns, int depth, float scale) {
  char* memory = own_memory();
  u32 shared = shared_address(memory);
  Work work = work_of(rows, columns, depth);
  start(shared);
  int group = threadIdx.x / 128;
  if (group) multiply<true, false>(memory, shared, group - 1, nullptr, scale, work);
  else if (threadIdx.x == 0) bring<true>(shared, &gradient, &weight, work);
  else if (threadIdx.x >= 32) finish_down(memory, shared, output, bits, partial, work);
  wait_for_cluster();
}
