// The hashes that dropout masks come from (docs/formats.md), of some layers at once.
//
// key [2] and streams [layers, 2] -> hashes [layers, rows + columns], all 32-bit words. One thread a word, grid.y = layers.
DEVICE u32 lowbias32(u32 x) {
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}
KERNEL dropout_hashes(const u32* key, const u32* streams, u32* hashes, int rows, int columns) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= rows + columns) return;
  u32 first = lowbias32(key[0] ^ streams[2 * blockIdx.y]), second = lowbias32(key[1] ^ streams[2 * blockIdx.y + 1]);
  u32 hash = i < rows ? lowbias32(lowbias32(i ^ first) + second) : lowbias32(lowbias32((i - rows) ^ second) + first);
  hashes[(u64)blockIdx.y * (rows + columns) + i] = hash;
}
EXPORT(dropout_hashes)
