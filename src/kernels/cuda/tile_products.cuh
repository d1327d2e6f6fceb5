// Products in tiles, for Hopper (sm_90a), whose results another part of the text works on and writes out: after hopper.cuh.
//
// left [rows, depth] times right^T of right [columns, depth] or, with `outer`, times right [depth, columns]: bfloat16,
// columns a multiple of 256, depth of 64. A block computes tiles of 128 x 256, one after another. Of its twelve warps
//   one has the tensor memory accelerator bring steps of 64 in depth: three stages of 48 KB;
//   two groups of four multiply 64 rows each; what they sum is scaled, biased and rounded once, into shared memory;
//   three finish the tile, while the others are at the next one.
// Two blocks of a cluster work at two tiles of the same columns, one below the other, and load half of their right operand
// each, for both.
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

// One thread. Boxes of the right operand are 128 rows of 64 numbers, with `outer` 64 rows of 64.
template <bool outer> DEVICE void bring(u32 shared, const TensorMap* left, const TensorMap* right, Work work) {
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
      if (outer) {
        load_box_for(3, to, right, k, column, full);
        load_box_for(3, to + 64 * STEP * 2, right, k, column + 64, full);
      } else {
        load_box_for(3, to, right, column, k, full);
      }
      ring.next();
    }
}

// All of a step's depth, for the 64 rows of this warpgroup.
template <bool outer> DEVICE void multiply_step(float (&sums)[128], u32 stage, int half, bool first) {
  u64 a = operand(stage + half * 64 * STEP * 2, 1024, 16);
  u64 b = outer ? operand(stage + LEFT_BYTES, 1024, 64 * STEP * 2) : operand(stage + LEFT_BYTES, 1024, 16);
  start_products();
#pragma unroll
  for (int i = 0; i < 4; ++i) multiply_256<outer>(sums, a + 2 * i, b + (outer ? 128 : 2) * i, !first || i);
  close_products();
}

// Rounds the sums into the rows that wait: scaled, and with `relu` biased (by what is scaled already) and cut off at 0. Of
// the bias the pairs for columns 16 j + 2 i and 16 j + 8 + 2 i lie together, at 4 j + i.
template <bool relu> DEVICE void stage_sums(float (&sums)[128], u32 rows, const float4* bias, float scale) {
  int warp = threadIdx.x % 128 / 32, lane = threadIdx.x % 32;
  u32 to = rows + (warp * 16 + lane % 16) * ROW_BYTES + lane / 16 * 16;
#pragma unroll
  for (int j = 0; j < 16; ++j) {
    float4 b = relu ? bias[4 * j + lane % 4] : make_float4(0.f, 0.f, 0.f, 0.f);
    const float pairs[4][2] = {{b.x, b.y}, {b.x, b.y}, {b.z, b.w}, {b.z, b.w}};
    u32 words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float first = sums[8 * j + 2 * i], second = sums[8 * j + 2 * i + 1];
      words[i] = relu ? pack_positive(fmaf(first, scale, pairs[i][0]), fmaf(second, scale, pairs[i][1]))
                      : pack(first * scale, second * scale);
    }
    store_matrices(to + 32 * j, words[0], words[1], words[2], words[3]);
  }
}

// Either of the groups, `half` 0 and 1.
template <bool outer, bool relu>
DEVICE void multiply(char* memory, u32 shared, int half, const float* bias, float scale, Work work) {
  int thread = threadIdx.x % 128, lane = threadIdx.x % 32;
  u32 rows = shared + WAITING + half * 64 * ROW_BYTES;
  Ring ring;
  u32 turn = 0;
  for (int tile = work.first; tile < work.count; tile += work.stride, turn ^= 1) {
    float sums[128];
    float2 pair = make_float2(0.f, 0.f);
    if (relu && bias) pair = ((const float2*)(bias + work.column(tile)))[thread];
    int last = 0;
#pragma unroll 1
    for (int k = 0; k < work.depth; k += STEP) {
      wait_for(shared + FULL(ring.stage), ring.parity);
      multiply_step<outer>(sums, shared + ring.stage * STAGE_BYTES, half, k == 0);
      if (k) {
        wait_for_products<1>();
        if (lane < 2) arrive_at(shared + EMPTY(last), lane);
      }
      last = ring.stage;
      ring.next();
    }
    // Two slices take turns: threads may still read that of the tile before.
    float4* slice = (float4*)(memory + FLOATS) + (2 * half + turn) * (TILE_COLUMNS / 4);
    if (relu) {
      ((float2*)slice)[(thread / 8 * 4 + thread % 4) * 2 + thread / 4 % 2] = make_float2(pair.x * scale, pair.y * scale);
      wait_for_threads(1 + half, 128);
    }
    wait_for_products<0>();
    sums_are_there(sums);
    if (lane < 2) arrive_at(shared + EMPTY(last), lane);
    wait_for(shared + TAKEN(half), turn ^ 1);
    stage_sums<relu>(sums, rows, slice, scale);
    __syncwarp();
    if (lane == 0) arrive(shared + STAGED(half));
  }
}

// The block's shared memory, from an address on that 1,024 divides, as the swizzle asks.
DEVICE char* own_memory() {
  extern __shared__ char bytes[];
  return bytes + (-shared_address(bytes) & 1023);
}
