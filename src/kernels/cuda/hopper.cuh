// What kernels for Hopper (sm_90a) share: barriers in shared memory, boxes of matrices brought by the tensor memory
// accelerator, products of a warpgroup. Names and meanings are PTX's; addresses of shared memory are its 32-bit ones.

// A matrix as the driver describes it to the accelerator (CUtensorMap).
struct alignas(64) TensorMap { u64 words[16]; };

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// A barrier's phase ends when `count` arrivals and all bytes that were announced have come.
DEVICE void start_barrier(u32 barrier, int count) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" :: "r"(barrier), "r"(count) : "memory");
}
DEVICE void barriers_are_started() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
DEVICE void arrive(u32 barrier) { asm volatile("mbarrier.arrive.shared.b64 _, [%0];" :: "r"(barrier) : "memory"); }
DEVICE void arrive_and_announce(u32 barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}
// The same barrier of another block of the cluster. Orders no memory between blocks: it tells that reads are over.
DEVICE void arrive_at(u32 barrier, u32 block) {
  asm volatile("{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
               "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" :: "r"(barrier), "r"(block) : "memory");
}
// Until the phase of this parity has ended; that before the first counts as 1.
DEVICE void wait_for(u32 barrier, u32 parity) {
  asm volatile("{\n.reg .pred done;\nWAIT: mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n@done bra DONE;\nbra WAIT;\nDONE:\n}"
               :: "r"(barrier), "r"(parity) : "memory");
}
// Of so many threads that name the same number, 1 to 15.
DEVICE void wait_for_threads(int number, int threads) {
  asm volatile("bar.sync %0, %1;" :: "r"(number), "r"(threads) : "memory");
}
DEVICE void wait_for_cluster() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
DEVICE u32 block_of_cluster() {
  u32 rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

// The box at (row, column) to `to`, zeros beyond the matrix; its bytes count at `barrier`.
DEVICE void load_box(u32 to, const TensorMap* map, int row, int column, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               :: "r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier) : "memory");
}
// To the same address of the cluster's blocks in `blocks`, one bit each, and counted at each one's barrier.
DEVICE void load_box_for(u32 blocks, u32 to, const TensorMap* map, int row, int column, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster "
               "[%0], [%1, {%2, %3}], [%4], %5;"
               :: "r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier), "h"((u16)blocks) : "memory");
}
DEVICE void prefetch_map(const TensorMap* map) { asm volatile("prefetch.tensormap [%0];" :: "l"(map) : "memory"); }

template <int count> DEVICE void give_registers() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(count)); }
template <int count> DEVICE void take_registers() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(count)); }

// Where an operand lies whose rows of 128 bytes are swizzled: bytes from a group of eight rows to the next, and, where the
// rows run along the operand's outer side, from one 64 numbers of it to the next.
DEVICE u64 operand(u32 address, int next_eight_rows, int next_64_numbers) {
  return (u64)((address & 0x3ffff) >> 4) | (u64)(next_64_numbers >> 4) << 16 | (u64)(next_eight_rows >> 4) << 32 | 1ull << 62;
}
DEVICE void start_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void close_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int others> DEVICE void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(others) : "memory");
}

#define TEN_NAMES(tens) "%" #tens "0, %" #tens "1, %" #tens "2, %" #tens "3, %" #tens "4, %" #tens "5, %" #tens "6, %" #tens "7, %" #tens "8, %" #tens "9, "
#define EIGHT_SUMS(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3]), "+f"(sums[i + 4]), "+f"(sums[i + 5]), "+f"(sums[i + 6]), "+f"(sums[i + 7])
#define SUMS_32(i) EIGHT_SUMS(i), EIGHT_SUMS(i + 8), EIGHT_SUMS(i + 16), EIGHT_SUMS(i + 24)

// sums = a b, added to what is there with `add`: a [64, 16], b [16, 256] with its numbers in the order of the 16, or of
// the 256 where `outer`. Thread t of the warpgroup holds rows 16 (t / 32) + t % 32 / 4 and eight further on; sums[4 j + i]
// is column 8 j + 2 (t % 4) + i % 2 of the first row for i < 2, else of the second.
template <int outer> DEVICE void multiply_256(float (&sums)[128], u64 a, u64 b, int add) {
  asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %130, 0;\nwgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, " TEN_NAMES(1) TEN_NAMES(2) TEN_NAMES(3) TEN_NAMES(4) TEN_NAMES(5)
               TEN_NAMES(6) TEN_NAMES(7) TEN_NAMES(8) TEN_NAMES(9) TEN_NAMES(10) TEN_NAMES(11)
               "%120, %121, %122, %123, %124, %125, %126, %127}, %128, %129, add, 1, 1, 0, %131;\n}"
               : SUMS_32(0), SUMS_32(32), SUMS_32(64), SUMS_32(96) : "l"(a), "l"(b), "r"(add), "n"(outer));
}
// The compiler may not have read them before.
DEVICE void sums_are_there(float (&sums)[128]) {
#pragma unroll
  for (int i = 0; i < 128; ++i) asm volatile("" : "+f"(sums[i]) :: "memory");
}

// Four 8 x 8 matrices of 16-bit numbers, each lane's pair of each, to the rows that lanes 8 m to 8 m + 7 name for matrix m.
DEVICE void store_matrices(u32 row, u32 a, u32 b, u32 c, u32 d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
               :: "r"(row), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
// As pack; negative numbers become 0.
DEVICE u32 pack_positive(float a, float b) {
  u32 word;
  asm("cvt.rn.relu.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(b), "f"(a));
  return word;
}
// Bytes of the pair (a, b), chosen by nibbles; 8 + i is the sign of byte i, eight times.
DEVICE u32 choose_bytes(u32 a, u32 b, u32 nibbles) {
  u32 word;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(word) : "r"(a), "r"(b), "r"(nibbles));
  return word;
}
// sum + the products of the bytes, all signed.
DEVICE u32 add_byte_products(u32 a, u32 b, u32 sum) {
  u32 word;
  asm("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(word) : "r"(a), "r"(b), "r"(sum));
  return word;
}
