// The convolution, forward and with respect to x:  normalise, ReLU, 3x3 or 1x1, add, mask, sums -- one pass over each tensor.
//
//   a   = x                                       SOURCE PLAIN                 x (N, H, W, C)
//       = max(x * norm[0] + norm[1], 0)                  GIVEN                 norm (4, C), of the running statistics
//       = the same, with norm from in_sums               BATCH                 in_sums (slots, 2, C), affine (2, C): norm.cuh
//       = x * a + before * c1 + c0 [+ round]             GRADIENT              x: the gradient behind a normalisation of `before`
//   y   = conv_forward(a, w, STRIDE)                                           w (R, R, C, K)             the forward pass
//   y   = conv_forward(spread(a, SPREAD), turned w)                            w (R, R, K, C), TURNED     its gradient for x
//   y  += added                                                                added like out, or null    the residual
//   y   = y where gate * gate_norm[0] + gate_norm[1] > 0, else 0               gate like out; GRADIENT    the ReLU's gradient
//   out = y,  sums[tile] = (sum y, sum y * y), or (sum y, sum y * gate)        out (N, h, v, K), sums (tiles, 2, K) or null
//
// On the way it leaves what later kernels need: BATCH the norm (null: it does not) and the moments in statistics (2, C);
// GRADIENT a in `kept`, like x, and dgamma, dbeta in statistics. round, what came round the block, may be null.
// Products of 10-bit mantissas, added in float32. The sums are of y as stored, tile by tile, and added up by whoever needs them.
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
//
// A number from memory comes after some 600 cycles, one from the cache after 300. So a thread asks for many at once: for up to 11
// pieces of x, which arrive while the sums are added up, and for up to 8 of what is added and what gates.
#include "device.cuh"
#include "norm.cuh"

enum Source { PLAIN, GIVEN, BATCH, GRADIENT };

template <typename T, Source SOURCE, int R, int C, int K, int STRIDE, int SPREAD, bool TURNED, int IMAGES, int TH, int TW, int KT,
          int WM, int WK>
__global__ void __launch_bounds__(32 * WM * WK, WM * WK < 8 ? 3 : 2)
conv(const T* x, const T* before, const T* round, T* kept, const float* in_sums, const float* affine, float* norm, float* statistics,
     const T* w, const T* added, const T* gate, const float* gate_norm, T* out, float* sums,
     int N, int H, int W, int h, int v, int slots) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, KSTEP = Num::KSTEP, THREADS = 32 * WM * WK;
    constexpr int PH = (TH - 1) * STRIDE + R, PW = (TW - 1) * STRIDE + R, HALO = IMAGES * PH * PW, PITCH = C + VEC;   // of x
    constexpr int ROWS = TURNED ? KT : C, COLUMNS = TURNED ? C : KT, SLAB_PITCH = COLUMNS + (TURNED ? VEC : 8);
    constexpr int PIXELS = IMAGES * TH * TW, MT = PIXELS / (16 * WM), NT = KT / (8 * WK), STAGE_PITCH = KT + 4;
    static_assert(C % KSTEP == 0 && K % KT == 0 && KT % 16 == 0, "channels come in multiples of 16");
    static_assert(KT % (16 * WK) == 0, "and so do those of a warp");
    static_assert(PIXELS % (16 * WM) == 0 && THREADS % (KT / VEC) == 0 && THREADS % (C / VEC) == 0, "a tile is cut evenly");
    constexpr bool GATED = SOURCE == GRADIENT;     // a gradient that came through a normalisation goes on to one
    static_assert(SOURCE != GRADIENT || STRIDE == 1, "a gradient is spread, it does not stride");

    DYNAMIC_SHARED(memory);
    T* const tile = reinterpret_cast<T*>(memory);
    T* const slabs = tile + HALO * PITCH;
    // % only tells the compiler the range, here and below: then it computes places in the tile once for all turns
    const int thread = threadIdx.x % THREADS, lane = thread % 32;
    const int m0 = thread / 32 % WM * MT * 16, k1 = thread / 32 / WM * NT * 8;          // the pixels and the channels of this warp
    const int across = (v + TW - 1) / TW, down = (h + TH - 1) / TH;
    const int v0 = blockIdx.x % across * TW, h0 = blockIdx.x / across % down * TH, n0 = blockIdx.x / (across * down) * IMAGES;
    const int k0 = blockIdx.y * KT;

    // ---- a slab of w --------------------------------------------------------------------------------------------------------
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

    // ---- x with its halo: every thread VEC channels, always the same, of every so many pixels -----------------------------------
    constexpr int TENSORS = SOURCE == GRADIENT ? 3 : 1, EVERY = THREADS / (C / VEC), TURNS = (HALO + EVERY - 1) / EVERY;
    constexpr int LIMIT = SOURCE == GRADIENT ? 3 : R == 1 ? 8 : 11, GROUP = TURNS < LIMIT ? TURNS : LIMIT;
    const int c = thread % (C / VEC) * VEC, pixel0 = thread / (C / VEC) % EVERY;
    const auto within = [&](int pixel, int& at) {              // whether there is such a pixel in the batch, and where
        const int n = n0 + pixel / (PH * PW);
        const int i = h0 * STRIDE - R / 2 + pixel / PW % PH, j = v0 * STRIDE - R / 2 + pixel % PW;     // in the image, spread
        at = ((n * H + i / SPREAD) * W + j / SPREAD) * (C / VEC) + c / VEC;
        return pixel < HALO && n < N && i >= 0 && j >= 0 && i % SPREAD == 0 && j % SPREAD == 0 && i / SPREAD < H && j / SPREAD < W;
    };
    uint4 raw[GROUP][TENSORS];
    int places[GROUP];                                         // -1: outside
    const auto load = [&](int begin) {
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
            int at;
            places[g] = within(pixel0 + (begin + g) * EVERY, at) ? at : -1;
            if (places[g] < 0) continue;
            raw[g][0] = pieces(x)[at];
            if constexpr (SOURCE == GRADIENT) {
                raw[g][1] = pieces(before)[at];
                if (round) raw[g][2] = pieces(round)[at];
            }
        }
    };
    load(0);

    float factor[VEC] = {}, term[VEC] = {}, shift[VEC] = {};   // a = x factor [+ before term] + shift
    if constexpr (SOURCE == BATCH || SOURCE == GRADIENT) {
        static_assert(HALO * PITCH * sizeof(T) >= 16 * THREADS, "what is added up takes the place of x, not of w, which is arriving");
        float* const found = reinterpret_cast<float*>(slabs + 2 * ROWS * SLAB_PITCH);                  // (3, C)
        const bool writes = norm && blockIdx.x == 0 && blockIdx.y == 0;
        with_totals(in_sums, slots, C, reinterpret_cast<float*>(memory), THREADS, [&](int k, double first, double second) {
            if constexpr (SOURCE == BATCH) {
                const Norm n = forward(k, first, second, C, N * H * W, affine, norm, statistics, writes);
                found[k] = n.a, found[2 * C + k] = n.b;
            } else {
                const Terms t = backward(k, first, second, C, N * H * W, norm, statistics, writes);
                found[k] = t.a, found[C + k] = t.c1, found[2 * C + k] = t.c0;
            }
        });
        __syncthreads();
#pragma unroll
        for (int q = 0; q < VEC; q++) {
            factor[q] = found[c + q], shift[q] = found[2 * C + c + q];
            if constexpr (SOURCE == GRADIENT) term[q] = found[C + c + q];
        }
    } else if constexpr (SOURCE == GIVEN) {
#pragma unroll
        for (int q = 0; q < VEC; q++) factor[q] = norm[c + q], shift[q] = norm[C + c + q];
    }

    const auto put = [&](int begin) {
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
            const int pixel = pixel0 + (begin + g) * EVERY;
            uint4 value = {0, 0, 0, 0};                        // the padding is of a, not of x
            if (places[g] >= 0) {
                float a[VEC], other[VEC];
                Num::unpack(a, raw[g][0]);
                if constexpr (SOURCE == GRADIENT) {
                    Num::unpack(other, raw[g][1]);
#pragma unroll
                    for (int q = 0; q < VEC; q++) a[q] = fmaf(a[q], factor[q], fmaf(other[q], term[q], shift[q]));
                    if (round) {
                        Num::unpack(other, raw[g][2]);
#pragma unroll
                        for (int q = 0; q < VEC; q++) a[q] += other[q];
                    }
                    const int i = pixel / PW % PH - R / 2, j = pixel % PW - R / 2;     // the halo is kept by the neighbours
                    if (i >= 0 && i < TH && j >= 0 && j < TW && blockIdx.y == 0) pieces(kept)[places[g]] = Num::pack(a);
                    value = Num::pack_operand(a);
                } else if constexpr (SOURCE == PLAIN) {
                    value = Num::pack_operand(a);
                } else {
#pragma unroll
                    for (int q = 0; q < VEC; q++) a[q] = fmaf(a[q], factor[q], shift[q]);
                    value = Num::pack_positive(a);
                }
            }
            if (pixel < HALO) *pieces(tile + pixel * PITCH + c) = value;
        }
    };
    put(0);
#pragma unroll 1
    for (int begin = GROUP; begin < TURNS; begin += GROUP) load(begin), put(begin);

    // ---- the products ---------------------------------------------------------------------------------------------------------
    const T* row[MT];                                                                  // where this lane's pixels begin
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int p = m0 + m * 16 + a_row(lane);
        row[m] = tile + ((p / (TH * TW) * PH + p / TW % TH * STRIDE) * PW + p % TW * STRIDE) * PITCH;
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
            for (int m = 0; m < MT; m++) a_along(a[m], row[m] + moved + from, lane);
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
    __syncthreads();                               // tile and slabs are done with: the sums take their place

    float* const stage = reinterpret_cast<float*>(memory);
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int k = 0; k < NT; k++) {
            float* const at = stage + (m0 + m * 16 + lane / 4) * STAGE_PITCH + k1 + 8 * k + lane % 4 * 2;
            at[0] = sum[m][k][0], at[1] = sum[m][k][1];
            at[8 * STAGE_PITCH] = sum[m][k][2], at[8 * STAGE_PITCH + 1] = sum[m][k][3];
        }

    // ---- added, gate, out: again every thread VEC channels, always the same ------------------------------------------------------
    constexpr int PIECES = KT / VEC, PARTS = THREADS / PIECES, ROUNDS = PIXELS / PARTS;
    constexpr int AT_ONCE = GATED ? 4 : 8, MANY = ROUNDS < AT_ONCE ? ROUNDS : AT_ONCE;
    static_assert(PIXELS % PARTS == 0 && ROUNDS % MANY == 0, "every thread has equally many pixels");
    const int piece = thread % PIECES * VEC, k = k0 + piece;
    const auto inside = [&](int p, int& at) {
        const int n = n0 + p / (TH * TW), i = h0 + p / TW % TH, j = v0 + p % TW;
        at = ((n * h + i) * v + j) * (K / VEC) + k / VEC;
        return n < N && i < h && j < v;
    };
    float first[VEC] = {}, second[VEC] = {}, gate_a[VEC] = {}, gate_b[VEC] = {};
    if constexpr (GATED) {
#pragma unroll
        for (int q = 0; q < VEC; q++) gate_a[q] = gate_norm[k + q], gate_b[q] = gate_norm[K + k + q];
    }
#pragma unroll 1
    for (int begin = thread / PIECES % PARTS; begin < PIXELS; begin += MANY * PARTS) {
        uint4 more[MANY], gates[MANY];
#pragma unroll
        for (int r = 0; r < MANY; r++) {
            int at;
            if (!inside(begin + r * PARTS, at)) continue;
            if (added) more[r] = pieces(added)[at];
            if constexpr (GATED) gates[r] = pieces(gate)[at];
        }
        if (begin < PARTS) __syncthreads();        // in the first round: all sums are there
#pragma unroll
        for (int r = 0; r < MANY; r++) {
            int at;
            if (!inside(begin + r * PARTS, at)) continue;
            float y[VEC], other[VEC];
#pragma unroll
            for (int q = 0; q < VEC; q++) y[q] = stage[(begin + r * PARTS) * STAGE_PITCH + piece + q];
            if (added) {
                Num::unpack(other, more[r]);
#pragma unroll
                for (int q = 0; q < VEC; q++) y[q] += other[q];
            }
            if constexpr (GATED) {
                Num::unpack(other, gates[r]);
#pragma unroll
                for (int q = 0; q < VEC; q++) y[q] = fmaf(other[q], gate_a[q], gate_b[q]) > 0.f ? y[q] : 0.f;
            }
            const uint4 stored = Num::pack(y);
            pieces(out)[at] = stored;
            Num::unpack(y, stored);
#pragma unroll
            for (int q = 0; q < VEC; q++) first[q] += y[q], second[q] += y[q] * (GATED ? other[q] : y[q]);
        }
    }
    if (!sums) return;

    // ---- the sums of the tile -------------------------------------------------------------------------------------------------
    __syncthreads();
    float* const partial = reinterpret_cast<float*>(memory);                           // (PARTS, 2, KT)
#pragma unroll
    for (int q = 0; q < VEC; q++) {
        partial[(thread / PIECES * 2) * KT + piece + q] = first[q];
        partial[(thread / PIECES * 2 + 1) * KT + piece + q] = second[q];
    }
    __syncthreads();
    for (int e = thread; e < 2 * KT; e += THREADS) {
        float total = 0;
#pragma unroll 16
        for (int r = 0; r < PARTS; r++) total += partial[r * 2 * KT + e];
        sums[(size_t(blockIdx.x) * 2 + e / KT) * K + k0 + e % KT] = total;
    }
}
