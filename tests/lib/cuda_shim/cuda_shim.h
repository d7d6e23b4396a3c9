// CUDA's words in C++, so that the kernels of core/kernels run where there is no GPU: slowly, and watched.
//
// A thread of a block is a fiber with a stack of its own. One fiber runs at a time, until it comes to a barrier, to an operation
// of its whole warp, or to its end. In which order threads, warps and blocks are taken is set from outside; a kernel without races
// gives the same bits in every order. Shared memory holds NaN at the start of each block, and must not be left. A warp's
// operation (ldmatrix, mma, shuffle) exchanges its lanes' arguments, then each lane computes its own part of the result after the
// fragment layouts of the PTX manual. A copy by cp.async arrives as late as the kernel's waits allow, or at once: both are tried.
// The blocks of a cluster run together, their threads taken in one order; a kernel says how many they are before all else.
// Whatever CUDA leaves undefined and is noticed here ends the launch with a message.
//
// Not modelled: the hardware's memory model within a warp, bank conflicts, the order and the rounding of the sums in an mma.
#ifndef CUDA_SHIM                                // no pragma: it is compiled beforehand, and included again
#define CUDA_SHIM
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __global__ static
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define DYNAMIC_SHARED(name) unsigned char* name = emulator::current->block->shared

struct alignas(16) uint4 { unsigned x, y, z, w; };
struct Index { unsigned x, y, z; };
static Index gridDim, blockDim;

namespace emulator {

enum State { READY, AT_WARP, AT_BLOCK, AT_CLUSTER, DONE };

struct Copy { unsigned char* to; const unsigned char* from; };

struct Block {
    Index index;
    unsigned char* shared;
    unsigned running;                           // threads that have not ended
};

struct Fiber {
    State state;
    bool begun;
    Index thread;
    Block* block;
    unsigned arrived, waited;                   // how often at the barrier of its cluster
    ucontext_t start;
    jmp_buf here;
    std::unique_ptr<char[]> stack;
    std::vector<std::vector<Copy>> groups;      // of asynchronous copies; the last one is still open
    unsigned turn;                              // of the two mailboxes: an operation needs one wait only
};

struct Mail { unsigned char box[2][64]; };      // what a lane shows to its warp

constexpr size_t STACK = 1 << 16, GUARD = 1024;
static std::vector<Fiber> fibers;
static std::vector<Mail> mail;
static Fiber* current;
static jmp_buf scheduler, failure;
static char message[256];
static jmp_buf again;
static unsigned cluster;                        // blocks that run together
static std::vector<Block> blocks;               // those of the cluster
static size_t shared_bytes;
static bool late = true;                        // when asynchronous copies arrive
static bool exact = false;                      // no rounding of operands: what is left is the logic of the kernels
static void (*body)(void*);
static void* argument;

[[noreturn]] static void fail(const char* text) {
    const Index none = {0, 0, 0}, block = current ? current->block->index : none;
    snprintf(message, sizeof message, "%s (block %u %u %u, thread %u)", text, block.x, block.y, block.z, current ? current->thread.x : 0);
    _longjmp(failure, 1);
}

static void wait(State state) {                 // gives the turn away
    current->state = state;
    if (!_setjmp(current->here)) _longjmp(scheduler, 1);
}

static void fiber_main() {
    body(argument);
    for (auto& group : current->groups)
        if (!group.empty()) fail("a thread ended before its asynchronous copies");
    if (current->arrived != current->waited) fail("a thread ended while its cluster may read what it has shared");
    current->state = DONE, current->block->running--;
    _longjmp(scheduler, 1);
}

static void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler)) return;
    if (fiber.begun) _longjmp(fiber.here, 1);
    fiber.begun = true;
    setcontext(&fiber.start);
}

static std::vector<unsigned> order_of(unsigned n, unsigned order, unsigned salt) {       // 0 forward, 1 backward, else shuffled
    std::vector<unsigned> all(n);
    std::iota(all.begin(), all.end(), 0u);
    if (order == 1) std::reverse(all.begin(), all.end());
    if (order > 1) std::shuffle(all.begin(), all.end(), std::mt19937(order * 7919 + salt));
    return all;
}

static void run_warp(unsigned first, unsigned last, unsigned order, unsigned salt) {     // to the next barrier of the block
    auto lanes = order_of(last - first, order, salt);
    for (;;) {
        unsigned at[5] = {};
        for (unsigned lane : lanes)
            if (fibers[first + lane].state == READY) resume(fibers[first + lane]);
        for (unsigned lane : lanes) at[fibers[first + lane].state]++;
        if (!at[AT_WARP]) return;
        if (at[AT_WARP] != last - first) fail("an operation of the warp that not all its lanes came to");
        for (unsigned lane : lanes) fibers[first + lane].state = READY;
    }
}

static void begin(Fiber& f, unsigned thread, Block& block) {
    f.state = READY, f.begun = false, f.turn = 0, f.thread = {thread, 0, 0}, f.block = &block, f.arrived = f.waited = 0;
    f.groups.assign(1, {});
    if (!f.stack) f.stack.reset(new char[STACK]);
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = f.stack.get(), f.start.uc_stack.ss_size = STACK, f.start.uc_link = nullptr;
    makecontext(&f.start, fiber_main, 0);
}

static unsigned released(unsigned first, unsigned last) {        // whose barrier is complete: threads of a block, and of the cluster
    unsigned count = 0, waiting = 0, ended = 0, least = ~0u;
    for (unsigned t = first; t < last; t++) waiting += fibers[t].state == AT_BLOCK, ended += fibers[t].state == DONE;
    if (waiting && ended) fail("a barrier that not all threads came to");
    for (unsigned t = first; t < last && waiting == last - first; t++) fibers[t].state = READY, count++;
    for (unsigned t = 0; t < cluster * blockDim.x; t++)
        if (fibers[t].state != DONE) least = std::min(least, fibers[t].arrived);
    for (unsigned t = first; t < last; t++)
        if (fibers[t].state == AT_CLUSTER && fibers[t].waited <= least) fibers[t].state = READY, count++;
    return count;
}

static void run_cluster(unsigned threads, size_t bytes, unsigned order) {
    for (unsigned b = 0; b < cluster; b++) {
        std::memset(blocks[b].shared, 0xFF, bytes + GUARD), blocks[b].running = threads;
        for (unsigned t = 0; t < threads; t++) begin(fibers[b * threads + t], t, blocks[b]);
    }
    const unsigned warps = (threads + 31) / 32;
    for (unsigned phase = 0, left = 1; left; phase++) {
        for (unsigned warp : order_of(cluster * warps, order, phase)) {
            const unsigned first = warp / warps * threads, from = warp % warps * 32;
            run_warp(first + from, first + std::min(threads, from + 32), order, phase);
        }
        unsigned count = left = 0;
        for (unsigned b = 0; b < cluster; b++) count += released(b * threads, b * threads + threads), left += blocks[b].running;
        if (left && !count) fail("a barrier of a cluster that not all threads came to");
    }
    for (unsigned b = 0; b < cluster; b++)
        for (size_t i = bytes; i < bytes + GUARD; i++)
            if (blocks[b].shared[i] != 0xFF) fail("a write behind the end of shared memory");
}

static const char* launch(const unsigned* grid, unsigned threads, size_t bytes, unsigned order) {
    static std::vector<unsigned char> memory;
    cluster = 1;
    _setjmp(again);                             // from here once more when a kernel has said that it runs in clusters
    const size_t each = bytes + GUARD + 16 - bytes % 16;
    memory.assign(cluster * each + 16, 0);
    blocks.resize(cluster), shared_bytes = bytes;
    for (unsigned b = 0; b < cluster; b++)
        blocks[b].shared = memory.data() + (16 - reinterpret_cast<uintptr_t>(memory.data()) % 16) % 16 + b * each;
    if (fibers.size() < cluster * threads) fibers.resize(cluster * threads), mail.resize(cluster * threads);
    current = nullptr;
    if (_setjmp(failure)) return message;
    gridDim = {grid[0], grid[1], grid[2]}, blockDim = {threads, 1, 1};
    const unsigned all = grid[0] * grid[1] * grid[2];
    if (threads > 1024 || !threads || !all || std::max(grid[1], grid[2]) > 65535) fail("a grid or a block that CUDA refuses");
    if (grid[0] % cluster || (cluster > 1 && threads % 32)) fail("a grid that is not made of whole clusters");
    for (unsigned number : order_of(all / cluster, order, 1)) {
        for (unsigned b = 0; b < cluster; b++) {
            const unsigned block = number * cluster + b;
            blocks[b].index = {block % grid[0], block / grid[0] % grid[1], block / grid[0] / grid[1]};
        }
        run_cluster(threads, bytes, order);
    }
    return nullptr;
}

template <typename... A, size_t... I>
static void call(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(values[I])...);
}

// kernel(arguments) on the whole grid; sizes: of the arguments as the caller sees them.
template <typename... A>
static const char* run(void (*kernel)(A...), void** values, const int* sizes, int count,
                       const unsigned* grid, unsigned threads, size_t bytes, unsigned order, bool unrounded) {
    const size_t wanted[] = {sizeof(A)...};
    late = order % 2 == 0, exact = unrounded;
    if (count != int(sizeof...(A))) return "the number of arguments is wrong";
    for (int i = 0; i < count; i++)
        if (size_t(sizes[i]) != wanted[i]) return "an argument has the wrong size";
    auto both = std::make_pair(kernel, values);
    argument = &both;
    body = [](void* p) {
        auto& [function, arguments] = *static_cast<decltype(both)*>(p);
        call(function, arguments, std::index_sequence_for<A...>());
    };
    return launch(grid, threads, bytes, order);
}

// Shows `mine` to the warp; then look(lane) is what that lane has shown.
template <typename M>
struct Exchange {
    const Mail* warp;
    unsigned turn;
    explicit Exchange(const M& mine) {
        static_assert(sizeof(M) <= 64);
        const unsigned thread = unsigned(current - fibers.data()), lane = current->thread.x % 32;
        turn = current->turn++ % 2;
        warp = &mail[thread - lane];
        std::memcpy(mail[thread].box[turn], &mine, sizeof(M));
        wait(AT_WARP);
    }
    M look(unsigned lane) const {
        M found;
        std::memcpy(&found, warp[lane].box[turn], sizeof(M));
        return found;
    }
};

static void aligned(const void* p) {
    if (reinterpret_cast<uintptr_t>(p) % 16) fail("an address that is no multiple of 16");
}

template <typename To, typename From>
static To bits(From from) {
    To to;
    static_assert(sizeof(To) == sizeof(From));
    std::memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace emulator

#define threadIdx (emulator::current->thread)
#define blockIdx (emulator::current->block->index)

static inline void __syncthreads() { emulator::wait(emulator::AT_BLOCK); }
static inline float __shfl_xor_sync(unsigned, float mine, int mask) {
    return emulator::Exchange<float>(mine).look(threadIdx.x % 32 ^ mask);
}
static inline int atomicAdd(int* at, int more) { return std::exchange(*at, *at + more); }      // one thread runs at a time
using std::max;
using std::min;

// ---- the functions of device.cuh that are single instructions on a GPU ---------------------------------------------------------

static inline float half_to_float(unsigned short h) { return float(emulator::bits<_Float16>(h)); }
static inline unsigned pack_halves(float low, float high) {
    return emulator::bits<unsigned short>(_Float16(low)) | unsigned(emulator::bits<unsigned short>(_Float16(high))) << 16;
}
static inline float positive(float x) { return x < 0 ? 0 : x; }
static inline unsigned pack_positive_halves(float low, float high) { return pack_halves(positive(low), positive(high)); }
static inline float to_tf32(float x) {           // to nearest, ties away from zero: 13 of the 23 bits of the mantissa go
    const unsigned u = emulator::bits<unsigned>(x);
    return emulator::exact || (u & 0x7F800000) == 0x7F800000 ? x : emulator::bits<float>((u + 0x1000) & 0xFFFFE000);
}

// Lane 8 i + j names row j (16 bytes) of matrix i (8 x 8 halves). Word i of lane 4 g + t: row g, halves 2t and 2t + 1.
static inline void ldmatrix(unsigned (&r)[4], const void* row) {
    emulator::aligned(row);
    emulator::Exchange<const unsigned*> rows(static_cast<const unsigned*>(row));
    const unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (unsigned i = 0; i < 4; i++) r[i] = rows.look(8 * i + g)[t];
}

// The same of the transposed matrices: rows 2t and 2t + 1, half g.
static inline void ldmatrix_transposed(unsigned (&r)[4], const void* row) {
    emulator::aligned(row);
    emulator::Exchange<const unsigned short*> rows(static_cast<const unsigned short*>(row));
    const unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (unsigned i = 0; i < 4; i++) r[i] = rows.look(8 * i + 2 * t)[g] | unsigned(rows.look(8 * i + 2 * t + 1)[g]) << 16;
}

struct Operands { unsigned a[4], b[2]; };

// What lane 4 g + t of a warp needs of an mma: a of the lanes of its rows g and g + 8, b of those of its columns 2t and 2t + 1.
struct Factors {
    Operands rows[4], columns[2][4];
    Factors(const unsigned (&a)[4], unsigned b0, unsigned b1) {
        emulator::Exchange<Operands> lanes({{a[0], a[1], a[2], a[3]}, {b0, b1}});
        const unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        for (unsigned lane = 0; lane < 4; lane++) {
            rows[lane] = lanes.look(4 * g + lane);
            for (unsigned j = 0; j < 2; j++) columns[j][lane] = lanes.look(4 * (2 * t + j) + lane);
        }
    }
};

// d (16, 8) += a (16, 16) b (16, 8).  Lane 4 g + t has d[g][2t], d[g][2t+1], d[g+8][2t], d[g+8][2t+1];
// a: rows g, g+8, g, g+8; columns 2t, 2t+1 and in the last two words 8 more;  b: rows 2t, 2t+1, then 8 more; column g.
static inline void mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    const Factors factors(a, b0, b1);
#pragma GCC unroll 16
    for (unsigned k = 0; k < 16; k++) {
        const unsigned lane = k % 8 / 2, shift = k % 2 * 16;
        const auto half = [&](unsigned word) { return half_to_float(static_cast<unsigned short>(word >> shift)); };
        const float upper = half(factors.rows[lane].a[k / 8 * 2]), lower = half(factors.rows[lane].a[k / 8 * 2 + 1]);
#pragma GCC unroll 2
        for (unsigned j = 0; j < 2; j++) {
            const float b = half(factors.columns[j][lane].b[k / 8]);
            d[j] += upper * b, d[2 + j] += lower * b;
        }
    }
}

// d (16, 8) += a (16, 8) b (8, 8).  a: rows g, g+8, g, g+8; columns t, t, t+4, t+4;  b: rows t, t+4; column g.
static inline void mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    for (unsigned word : {a[0], a[1], a[2], a[3], b0, b1})
        if (!emulator::exact && word & 0x1FFF && (word & 0x7F800000) != 0x7F800000)
            emulator::fail("an operand of mma that is not rounded to TF32");
    const Factors factors(a, b0, b1);
#pragma GCC unroll 8
    for (unsigned k = 0; k < 8; k++) {
        const auto number = [](unsigned word) { return emulator::bits<float>(word); };
        const float upper = number(factors.rows[k % 4].a[k / 4 * 2]), lower = number(factors.rows[k % 4].a[k / 4 * 2 + 1]);
#pragma GCC unroll 2
        for (unsigned j = 0; j < 2; j++) {
            const float b = number(factors.columns[j][k % 4].b[k / 4]);
            d[j] += upper * b, d[2 + j] += lower * b;
        }
    }
}

// ---- clusters of blocks ----------------------------------------------------------------------------------------------------------

static inline void in_clusters_of(unsigned blocks) {
    if (emulator::cluster != blocks) emulator::cluster = blocks, _longjmp(emulator::again, 1);
}
static inline void cluster_arrive() {
    if (emulator::current->arrived++ != emulator::current->waited) emulator::fail("twice at the barrier of a cluster without waiting");
}
static inline void cluster_wait() {
    if (++emulator::current->waited != emulator::current->arrived) emulator::fail("a wait for a cluster before the thread arrived");
    emulator::wait(emulator::AT_CLUSTER);
}
static inline double cluster_load(const double* p, unsigned rank) {
    const size_t at = reinterpret_cast<const unsigned char*>(p) - emulator::current->block->shared;
    if (rank >= emulator::cluster || at + sizeof *p > emulator::shared_bytes) emulator::fail("a read outside of the cluster's memory");
    if (!emulator::blocks[rank].running) emulator::fail("a read of a block that has ended");
    double found;
    std::memcpy(&found, emulator::blocks[rank].shared + at, sizeof found);
    return found;
}

static inline uint4 load_global(const void* p) {
    emulator::aligned(p);
    return *static_cast<const uint4*>(p);
}
static inline int afresh(int x) { return x; }

static inline void cp_async(void* to, const void* from) {
    emulator::aligned(to), emulator::aligned(from);
    if (emulator::late) {
        emulator::current->groups.back().push_back({static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from)});
    } else {
        std::memcpy(to, from, 16);
    }
}
static inline void cp_async_commit() { emulator::current->groups.push_back({}); }
template <int PENDING>
static inline void cp_async_wait() {             // all groups but the last PENDING committed ones
    auto& groups = emulator::current->groups;
    for (size_t i = 0; i + 1 + PENDING < groups.size(); i++) {
        for (const emulator::Copy& copy : groups[i]) std::memcpy(copy.to, copy.from, 16);
        groups[i].clear();
    }
}

#endif
