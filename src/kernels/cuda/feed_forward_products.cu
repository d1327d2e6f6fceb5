// The two products inside a feed-forward layer that have elementwise work behind them, for Hopper (sm_90a):
//   up    h = dropout(relu(x W^T + bias)), and a bit for each number of h that tells whether it is positive
//   down  d = the bit ? (g V) scale : 0, and the sums of d over rows: from the gradient behind the second product to the
//         one before relu, of which the bias's gradient is the sum
// x, g [rows, depth], W [columns, depth], V [depth, columns], h, d [rows, columns] are bfloat16; columns a multiple of 256,
// depth of 64. bits [ceil(rows / 4), columns / 8] words: bit 8 i + j of word (R, C) is h's number (4 R + i, 8 C + j).
//
// A block computes tiles of 128 x 256, one after another. Of its twelve warps
//   one has the tensor memory accelerator bring steps of 64 in depth: three stages of 48 KB;
//   two groups of four multiply 64 rows each; what they sum is scaled, biased and rounded once, into shared memory;
//   three drop (or mask), keep (or read) the bits and write the tile out, while the others are at the next one.
// Two blocks of a cluster work at two tiles of the same columns, one below the other, and load half of W or V each, for both.
#define TILE_ROWS 128
#define TILE_COLUMNS 256
#define STEP 64
#define STAGES 3
#define LEFT_BYTES (TILE_ROWS * STEP * 2)
#define STAGE_BYTES (LEFT_BYTES + TILE_COLUMNS * STEP * 2)
// A row that waits to be written, with 16 bytes more: so eight rows below each other lie in different banks.
#define ROW_BYTES (TILE_COLUMNS * 2 + 16)
#define WAITING (STAGES * STAGE_BYTES)
#define FLOATS (WAITING + TILE_ROWS * ROW_BYTES)
#define BARRIERS (FLOATS + 4 * TILE_COLUMNS * 4)
#define FULL(stage) (BARRIERS + 8 * (stage))
#define EMPTY(stage) (BARRIERS + 8 * (STAGES + (stage)))
// Of the 64 rows of either group.
#define STAGED(half) (BARRIERS + 8 * (2 * STAGES + (half)))
#define TAKEN(half) (BARRIERS + 8 * (2 * STAGES + 2 + (half)))

// What this block does: tile i of its cluster is columns i % across of the pair of rows i / across.
struct Work {
  int rows, columns, depth, across, count, first, stride;
  u32 rank;
  __device__ int row(int tile) const { return (tile / across * 2 + rank) * TILE_ROWS; }
  __device__ int column(int tile) const { return tile % across * TILE_COLUMNS; }
};
DEVICE Work work_of(int rows, int columns, int depth) {
  int across = columns / TILE_COLUMNS, pairs = (rows + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS);
  return {rows, columns, depth, across, pairs * across, (int)blockIdx.x / 2, (int)gridDim.x / 2, block_of_cluster()};
}
// The next stage, and how often all were used, modulo 2.
struct Ring {
  int stage = 0;
  u32 parity = 0;
  __device__ void next() {
    if (++stage == STAGES) { stage = 0; parity ^= 1; }
  }
};

DEVICE void start(u32 shared) {
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; ++i) {
      start_barrier(shared + FULL(i), 1);
      start_barrier(shared + EMPTY(i), 16);  // eight warps of two blocks
    }
    for (int i = 0; i < 2; ++i) {
      start_barrier(shared + STAGED(i), 4);
      start_barrier(shared + TAKEN(i), 3);
    }
    barriers_are_started();
  }
  wait_for_cluster();
}

// One thread. Boxes of W are 128 rows of 64 numbers, those of V 64 rows of 64.
template <bool down> DEVICE void bring(u32 shared, const TensorMap* left, const TensorMap* right, Work work) {
  prefetch_map(left);
  prefetch_map(right);
  Ring ring;
  for (int tile = work.first; tile < work.count; tile += work.stride)
    for (int k = 0; k < work.depth; k += STEP) {
      u32 stage = shared + ring.stage * STAGE_BYTES, full = shared + FULL(ring.stage);
      u32 to = stage + LEFT_BYTES + work.rank * (STAGE_BYTES - LEFT_BYTES) / 2;
      int column = work.column(tile) + work.rank * TILE_COLUMNS / 2;
      wait_for(shared + EMPTY(ring.stage), ring.parity ^ 1);
      arrive_and_announce(full, STAGE_BYTES);
      load_box(stage, left, work.row(tile), k, full);
      if (down) {
        load_box_for(3, to, right, k, column, full);
        load_box_for(3, to + 64 * STEP * 2, right, k, column + 64, full);
      } else {
        load_box_for(3, to, right, column, k, full);
      }
      ring.next();
    }
}

// All of a step's depth, for the 64 rows of this warpgroup.
template <bool down> DEVICE void multiply_step(float (&sums)[128], u32 stage, int half, bool first) {
  u64 a = operand(stage + half * 64 * STEP * 2, 1024, 16);
  u64 b = down ? operand(stage + LEFT_BYTES, 1024, 64 * STEP * 2) : operand(stage + LEFT_BYTES, 1024, 16);
  start_products();
#pragma unroll
  for (int i = 0; i < 4; ++i) multiply_256<down>(sums, a + 2 * i, b + (down ? 128 : 2) * i, !first || i);
  close_products();
}

// Rounds the sums into the rows that wait: scaled, and for `up` with the bias (scaled before) and relu. The bias's pairs for
// columns 16 j and 16 j + 8 on lie together.
template <bool down> DEVICE void stage_sums(float (&sums)[128], u32 rows, const float4* bias, float scale) {
  int warp = threadIdx.x % 128 / 32, lane = threadIdx.x % 32;
  u32 to = rows + (warp * 16 + lane % 16) * ROW_BYTES + lane / 16 * 16;
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    float4 b = down ? make_float4(0.f, 0.f, 0.f, 0.f) : bias[4 * j + lane % 4];
    const float pairs[4][2] = {{b.x, b.y}, {b.x, b.y}, {b.z, b.w}, {b.z, b.w}};
    u32 words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float first = sums[8 * j + 2 * i], second = sums[8 * j + 2 * i + 1];
      words[i] = down ? pack(first * scale, second * scale)
                      : pack_positive(fmaf(first, scale, pairs[i][0]), fmaf(second, scale, pairs[i][1]));
    }
    store_matrices(to + 32 * j, words[0], words[1], words[2], words[3]);
  }
}

// Either of the groups, `half` 0 and 1.
template <bool down> DEVICE void multiply(char* memory, u32 shared, int half, const float* bias, float scale, Work work) {
  int thread = threadIdx.x % 128, lane = threadIdx.x % 32;
  u32 rows = shared + WAITING + half * 64 * ROW_BYTES;
  Ring ring;
  u32 turn = 0;
  for (int tile = work.first; tile < work.count; tile += work.stride, turn ^= 1) {
    float sums[128];
    float2 pair = make_float2(0.f, 0.f);
    if (!down && bias) pair = ((const float2*)(bias + work.column(tile)))[thread];
    int last = 0;
#pragma unroll 1
    for (int k = 0; k < work.depth; k += STEP) {
      wait_for(shared + FULL(ring.stage), ring.parity);
      multiply_step<down>(sums, shared + ring.stage * STAGE_BYTES, half, k == 0);
      if (k) {
        wait_for_products<1>();
        if (lane < 2) arrive_at(shared + EMPTY(last), lane);
      }
      last = ring.stage;
      ring.next();
    }
    // Two slices take turns: threads may still read that of the tile before.
    float4* slice = (float4*)(memory + FLOATS) + (2 * half + turn) * (TILE_COLUMNS / 4);
    if (!down) {
      ((float2*)slice)[(thread / 8 * 4 + thread % 4) * 2 + thread / 4 % 2] = make_float2(pair.x * scale, pair.y * scale);
      wait_for_threads(1 + half, 128);
    }
    wait_for_products<0>();
    sums_are_there(sums);
    if (lane < 2) arrive_at(shared + EMPTY(last), lane);
    wait_for(shared + TAKEN(half), turn ^ 1);
    stage_sums<down>(sums, rows, slice, scale);
    __syncwarp();
    if (lane == 0) arrive(shared + STAGED(half));
  }
}

// 1 for each of eight numbers, none below 0, that is not 0.
DEVICE u32 positive(uint4 x) {
  u32 words[4] = {x.x, x.y, x.z, x.w}, pairs = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) pairs |= ((words[i] + 0x7fff7fffu) & 0x80008000u) >> (15 - 2 * i);
  return (pairs | pairs >> 15) & 255;
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

// The three warps. A lane has eight columns.
template <bool dropping>
DEVICE void finish_up(char* memory, u32 shared, bf16* output, u32* bits, Dropout dropout, Work work) {
  Fours fours;
  int lane = fours.lane;
  u32 turn = 0;
  for (int tile = work.first; tile < work.count; tile += work.stride, turn ^= 1) {
    int top = work.row(tile), column = work.column(tile) + lane * 8;
    u32 columns[8], hashes[2] = {0, 0};  // of the rows: lane 4 i + j has those of row j of four i, in both halves
    if (dropping) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int row = top + fours.row(half, lane / 4) + lane % 4;
        if (row < work.rows && lane < 24) hashes[half] = dropout.rows[row];
      }
      for (int i = 0; i < 8; ++i) columns[i] = dropout.columns[column + i];
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      wait_for(shared + STAGED(half), turn);
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
          u32 of_rows[4];
#pragma unroll
          for (int j = 0; j < 4; ++j) of_rows[j] = __shfl_sync(~0u, hashes[half], 4 * i + j);
#pragma unroll
          for (int j = 0; j < 4; ++j) x[j] = keep(x[j], of_rows[j], columns, dropout.threshold);
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          word |= positive(x[j]) << 8 * j;
          if (first + j < work.rows) store_once((uint4*)(to + j * work.columns), x[j]);
        }
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

// The block's shared memory, from an address on that 1,024 divides, as the swizzle asks.
DEVICE char* own_memory() {
  extern __shared__ char bytes[];
  return bytes + (-shared_address(bytes) & 1023);
}

KERNEL __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1) feed_forward_up(CONSTANT(TensorMap, x), CONSTANT(TensorMap, weight),
    const float* bias, bf16* output, u32* bits, int rows, int columns, int depth, float scale, Dropout dropout) {
  char* memory = own_memory();
  u32 shared = shared_address(memory);
  Work work = work_of(rows, columns, depth);
  start(shared);
  int group = threadIdx.x / 128;
  if (group) multiply<false>(memory, shared, group - 1, bias, scale, work);
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
  if (group) multiply<true>(memory, shared, group - 1, nullptr, scale, work);
  else if (threadIdx.x == 0) bring<true>(shared, &gradient, &weight, work);
  else if (threadIdx.x >= 32) finish_down(memory, shared, output, bits, partial, work);
  wait_for_cluster();
}
