// Before the other texts: compiles them for the host, where a test can launch them without a GPU.
//
// The threads of a block are contexts of one thread, which take turns where they wait for one another: at a barrier for
// all of the block, at a shuffle for all of the warp. Blocks run one after another.
#include <climits>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <utility>

#define HOST
#define DEVICE static inline
#define KERNEL extern "C" void
#define SHARED static
#define CONSTANT(type, name) const type name
#define __launch_bounds__(...)
#define EXPORT(kernel)                                                                     \
  extern "C" void host_##kernel(const unsigned* sizes, void** arguments) {                 \
    host::run(sizes, [](void** arguments) { host::call(kernel, arguments); }, arguments);  \
  }

struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct float4 { float x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }

struct Three { unsigned x, y, z; };
static Three threadIdx, blockIdx, blockDim, gridDim;

namespace host {
enum State { runs, at_barrier, at_shuffle, done };
struct Thread {
  ucontext_t context;
  char stack[1 << 16];
  State state;
  Three index;
  unsigned shuffles;
};
static ucontext_t scheduler;
static Thread* threads = (Thread*)std::malloc(1024 * sizeof(Thread));
static float exchange[2][1024];
static size_t current;
static void (*body)(void**);
static void** given;

static void start() {
  body(given);
  threads[current].state = done;
  swapcontext(&threads[current].context, &scheduler);
}
static void wait(State state) {
  threads[current].state = state;
  swapcontext(&threads[current].context, &scheduler);
}
// Lets those of `count` threads from `first` on go on that all wait for one another.
static bool release(size_t first, size_t count, State state) {
  bool some = false;
  for (size_t i = first; i < first + count; ++i) {
    if (threads[i].state != done && threads[i].state != state) return false;
    some |= threads[i].state == state;
  }
  for (size_t i = first; i < first + count; ++i)
    if (threads[i].state == state) threads[i].state = runs;
  return some;
}
static void run_block(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    Thread& thread = threads[i];
    getcontext(&thread.context);
    thread.context.uc_stack.ss_sp = thread.stack;
    thread.context.uc_stack.ss_size = sizeof thread.stack;
    thread.context.uc_link = &scheduler;
    makecontext(&thread.context, start, 0);
    thread.state = runs;
    thread.shuffles = 0;
    thread.index = {(unsigned)i % blockDim.x, (unsigned)i / blockDim.x % blockDim.y, (unsigned)i / blockDim.x / blockDim.y};
  }
  for (;;) {
    bool moved = false, all_done = true;
    for (current = 0; current < count; ++current) {
      all_done &= threads[current].state == done;
      if (threads[current].state != runs) continue;
      moved = true;
      threadIdx = threads[current].index;
      swapcontext(&scheduler, &threads[current].context);
    }
    if (all_done) return;
    for (size_t first = 0; first < count; first += 32) moved |= release(first, count - first < 32 ? count - first : 32, at_shuffle);
    moved |= release(0, count, at_barrier);
    if (!moved) {
      std::fprintf(stderr, "threads of a block wait for one another in different places\n");
      std::abort();
    }
  }
}
static void run(const unsigned* sizes, void (*kernel)(void**), void** arguments) {
  gridDim = {sizes[0], sizes[1], sizes[2]};
  blockDim = {sizes[3], sizes[4], sizes[5]};
  body = kernel;
  given = arguments;
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block((size_t)blockDim.x * blockDim.y * blockDim.z);
}
template <class... A, size_t... I>
static void call_with(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*(typename std::remove_cv<A>::type*)arguments[I]...);
}
template <class... A>
static void call(void (*kernel)(A...), void** arguments) {
  call_with(kernel, arguments, std::make_index_sequence<sizeof...(A)>());
}
}  // namespace host

static inline void __syncthreads() { host::wait(host::at_barrier); }
// What the lane `lanes` away, by exclusive or, gave.
static inline float shuffle(float x, int lanes) {
  size_t own = host::current;
  auto& side = host::exchange[host::threads[own].shuffles++ % 2];
  side[own] = x;
  host::wait(host::at_shuffle);
  return side[own ^ lanes];
}

static inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
static inline unsigned bits_of(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
static inline unsigned rounded(float x) {
  unsigned bits = bits_of(x);
  if (x != x) return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
static inline unsigned pack(float a, float b) { return rounded(a) | rounded(b) << 16; }
static inline float exp2_(float x) { return exp2f(x); }
static inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
static inline unsigned max_pairs(unsigned a, unsigned b) {
  auto larger = [](unsigned a, unsigned b) { return __uint_as_float(a << 16) > __uint_as_float(b << 16) ? a : b; };
  return larger(a & 0xffff, b & 0xffff) | larger(a >> 16, b >> 16) << 16;
}
static inline void forget(uint4&) {}
static inline uint4 load_once(const uint4* p) { return *p; }
static inline void store_once(uint4* p, uint4 x) { *p = x; }
