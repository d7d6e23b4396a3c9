// The convolution, forward and with respect to x:  normalise, ReLU, 3x3 or 1x1, add, mask, sums -- one pass over each tensor.
//
//   a   = what SOURCE makes of x                                               x (N, H, W, C); conv_in.cuh
//   y   = conv_forward(a, w, STRIDE)                                           w (R, R, C, K)             the forward pass
//   y   = conv_forward(spread(a, SPREAD), turned w)                            w (R, R, K, C), TURNED     its gradient for x
//   out = what conv_out.cuh makes of y: residual, mask of the ReLU             out (N, h, v, K), and its sums (tiles, 2, K)
//
// Products of 10-bit mantissas, added in float32.
//
// Blocks.  One block of WM x WK warps makes, for KT of the K channels, a tile of IMAGES x TH x TW pixels of out.
//          blockIdx.x: tile (columns fastest, then rows, then images); blockIdx.y: KT channels.
//
//      x in shared memory, with its halo             w, one tap at a time               out: pixels x channels
//      +-----------------------+                     two slabs in turn                  +-------------+
//      | o o o o o o o o o o o |  (TH-1)*STRIDE+R    +-------+ +-------+         warp 0 | MT x NT mma |   every warp: MT*16
//      | o . . . . . . . . . o |  rows of            | tap 4 | | tap 5 |         warp 1 |   tiles     |   pixels, and
//      | o . . . . . . . . . o |  (TW-1)*STRIDE+R    |  C,KT | |arrives|         ...    |  of 16 x 8  |   KT / WK
//      | o o o o o o o o o o o |  pixels, C each     +-------+ +-------+                +-------------+   channels
//      +-----------------------+
//
// Each number of x is fetched and normalised once per tile, and read R*R times from shared memory at shifted addresses: no im2col.
// Rows in shared memory are 16 bytes longer than their numbers, so that the eight rows of an 8 x 8 matrix lie in eight different
// groups of four banks. At the end the sums of the products pass through shared memory (pixels x KT floats), so that global
// memory is read and written in pieces of 16 bytes.
#include "conv_in.cuh"
#include "conv_out.cuh"

// CONV_REGISTERS: of a thread of a block that has to fit beside others: one of wgrad.cu (docs/gpu.md, section 7), or of its cluster. All
// others may have what lets so many blocks of theirs on a multiprocessor. A compiler before 12.4 can't be told of registers.
#if defined(CONV_REGISTERS) && __CUDACC_VER_MAJOR__ * 100 + __CUDACC_VER_MINOR__ >= 1204
#define CONV_BOUNDS(threads, blocks, beside) \
    __maxnreg__((beside) ? CONV_REGISTERS : (blocks) == 1 ? 255 : 65536 / ((threads) * (blocks)) / 8 * 8)
#else
#define CONV_BOUNDS(threads, blocks, beside) __launch_bounds__(threads, blocks)
#endif

// CLUSTERS: blocks come in clusters of the template's last number (core/kernels/variant.py), which add the sums up together (norm.cuh).
#ifdef CLUSTERS
#define IN_CLUSTERS(blocks) __cluster_dims__(blocks, 1, 1)
#else
#define IN_CLUSTERS(blocks)
#endif

template <typename T, Source SOURCE, int R, int C, int K, int STRIDE, int SPREAD, bool TURNED, int IMAGES, int TH, int TW, int KT,
          int WM, int WK, int CLUSTER = 1>
__global__ void IN_CLUSTERS(CLUSTER) CONV_BOUNDS(32 * WM * WK, WM * WK < 8 ? 3 : KT < 64 ? 2 : 1, TURNED || CLUSTER > 1)
conv(const T* x, const T* before, const T* came_round, T* kept, const float* in_sums, const float* affine, float* norm,
     float* statistics, const T* w, const T* added, const T* gate, const float* gate_norm, T* out, float* sums,
     int N, int H, int W, int h, int v, int slots) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, KSTEP = Num::KSTEP, THREADS = 32 * WM * WK;
    constexpr int PH = (TH - 1) * STRIDE + R, PW = (TW - 1) * STRIDE + R, PITCH = C + VEC;           // of x in shared memory
    constexpr int ROWS = TURNED ? KT : C, COLUMNS = TURNED ? C : KT, SLAB_PITCH = COLUMNS + (TURNED ? VEC : 8);
    constexpr int MT = IMAGES * TH * TW / (16 * WM), NT = KT / (8 * WK), STAGED_PITCH = KT + 4;
    constexpr bool GATED = SOURCE == GRADIENT;     // a gradient that came through a normalisation goes on to one
    static_assert(C % KSTEP == 0 && K % KT == 0 && KT % (16 * WK) == 0, "channels come in multiples of 16");
    static_assert(IMAGES * TH * TW % (16 * WM) == 0, "and so do the pixels of a warp");

    if constexpr (CLUSTER > 1) in_clusters_of(CLUSTER);
    DYNAMIC_SHARED(memory);
    T* const tile = reinterpret_cast<T*>(memory);
    T* const slabs = tile + IMAGES * PH * PW * PITCH;
    float* const found = reinterpret_cast<float*>(slabs + 2 * ROWS * SLAB_PITCH);
    // % THREADS changes nothing but what the compiler knows: how large a thread's number can be. (So it finds that places in the
    // tile go up by constants, and computes them once for all turns.)
    const int thread = threadIdx.x % THREADS, lane = thread % 32;
    const int m0 = thread / 32 % WM * MT * 16, k1 = thread / 32 / WM * NT * 8;          // the pixels and the channels of this warp
    const int across = (v + TW - 1) / TW, down = (h + TH - 1) / TH, k0 = blockIdx.y * KT;
    const int number = blockIdx.x;
    const Place first = {number / (across * down) * IMAGES, number / across % down * TH, number % across * TW};

    const auto fetch_slab = [&](int tap) {
        T* const slab = slabs + tap % 2 * ROWS * SLAB_PITCH;
        for (int e = thread; e < ROWS * COLUMNS / VEC; e += THREADS) {
            const int row = e / (COLUMNS / VEC), column = e % (COLUMNS / VEC) * VEC;
            const T* const from = w + (TURNED ? ((R * R - 1 - tap) * K + k0 + row) * C : (tap * C + row) * K + k0) + column;
            cp_async(slab + row * SLAB_PITCH + column, from);
        }
        cp_async_commit();
    };
    fetch_slab(0);
    take_in<T, SOURCE, R, C, STRIDE, SPREAD, IMAGES, TH, TW, THREADS, CLUSTER>(
        {x, before, came_round, kept, in_sums, affine, norm, statistics, slots}, first, N, H, W, tile, found);

    int row[MT];                                   // where in the tile this lane's pixels begin
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int p = m0 + m * 16 + a_row(lane);
        row[m] = ((p / (TH * TW) * PH + p / TW % TH * STRIDE) * PW + p % TW * STRIDE) * PITCH;
    }
    float sum[MT][NT][4] = {};
    constexpr int AT_A_TIME = R == 1 ? 2 : C / KSTEP;          // one tap alone would all be written out, beyond the registers
#pragma unroll 1
    for (int tap = 0; tap < R * R; tap++) {
        cp_async_wait<0>();
        __syncthreads();                           // the slab of this tap is there, and nobody reads the one before any more
        if (tap + 1 < R * R) fetch_slab(tap + 1);
        const T* const slab = slabs + tap % 2 * ROWS * SLAB_PITCH;
        const int moved = (tap / R * PW + tap % R) * PITCH;
#pragma unroll AT_A_TIME
        for (int from = 0; from < C; from += KSTEP) {
            unsigned a[MT][4], b[NT / 2][4];
#pragma unroll
            for (int m = 0; m < MT; m++) a_along(a[m], tile + row[m] + moved + from, lane);
#pragma unroll
            for (int k = 0; k < NT / 2; k++) {
                if constexpr (TURNED) {
                    b_along(b[k], slab + (k1 + 16 * k + b_row(lane)) * SLAB_PITCH + from, lane);
                } else {
                    Num::b_down(b[k], [&](int r) { return slab + (from + r) * SLAB_PITCH; }, k1 + 16 * k, lane);
                }
            }
#pragma unroll
            for (int m = 0; m < MT; m++)
#pragma unroll
                for (int k = 0; k < NT; k++) Num::mma(sum[m][k], a[m], b[k / 2][k % 2 * 2], b[k / 2][k % 2 * 2 + 1]);
        }
    }
    if constexpr (CLUSTER > 1) cluster_wait();     // and the others have read what this block shared with them
    __syncthreads();                               // tile and slabs are done with: the sums take their place

    float* const staged = reinterpret_cast<float*>(memory);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int k = 0; k < NT; k++) {
            float* const at = staged + (m0 + m * 16 + lane / 4) * STAGED_PITCH + k1 + 8 * k + lane % 4 * 2;
            at[0] = sum[m][k][0], at[1] = sum[m][k][1];
            at[8 * STAGED_PITCH] = sum[m][k][2], at[8 * STAGED_PITCH + 1] = sum[m][k][3];
        }
    put_out<T, GATED, K, IMAGES, TH, TW, KT, THREADS>({added, gate, gate_norm, out, sums}, first, N, h, v, staged);
}
