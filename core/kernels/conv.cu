// The convolution, forward and with respect to x:  normalise, ReLU, 3x3 or 1x1, add, mask, sums -- one pass over each tensor.
//
//   a   = max(x * norm[0] + norm[1], 0), or x itself where norm is null        x (N, H, W, C), norm (2+, C)
//   y   = conv_forward(a, w, STRIDE)                                           w (R, R, C, K)             the forward pass
//   y   = conv_forward(spread(a, SPREAD), turned w)                            w (R, R, K, C), TURNED     its gradient for x
//   y  += added                                                                added like out, or null    the residual
//   y   = y where gate * gate_norm[0] + gate_norm[1] > 0, else 0               gate like out, or null     the ReLU's gradient
//   out = y,  sums[tile] = (sum y, sum y * y), or (sum y, sum y * gate)        out (N, h, v, K), sums (tiles, 2, K) or null
//
// Products of 10-bit mantissas, added in float32. The sums are of y as stored, tile by tile: norm.cu adds the tiles up in order.
//
// Blocks.  One block of WARPS warps makes, for KT of the K channels, a tile of IMAGES x TH x TW pixels of out.
//          blockIdx.x: tile (columns fastest, then rows, then images); blockIdx.y: KT channels.
//
//      x in shared memory, with its halo             w, one tap at a time               out: pixels x channels
//      +-----------------------+                     two slabs in turn                  +-------------+
//      | o o o o o o o o o o o |  (TH-1)*STRIDE+R    +-------+ +-------+         warp 0 | MT x NT mma |   every warp: MT*16
//      | o . . . . . . . . . o |  rows of            | tap 4 | | tap 5 |         warp 1 |   tiles     |   pixels, all KT
//      | o . . . . . . . . . o |  (TW-1)*STRIDE+R    |  C,KT | |arrives|         ...    |  of 16 x 8  |   channels
//      | o o o o o o o o o o o |  pixels, C each     +-------+ +-------+                +-------------+
//      +-----------------------+
//
// Each number of x is fetched and normalised once per tile, and read R*R times from shared memory at shifted addresses: no im2col.
// Rows in shared memory are 16 bytes longer than their numbers, so that the eight rows of an 8 x 8 matrix lie in eight different
// groups of four banks. At the end the sums of the products pass through shared memory (pixels x KT floats), so that global
// memory is read and written in pieces of 16 bytes.
#include "device.cuh"

template <typename T, int R, int C, int K, int STRIDE, int SPREAD, bool TURNED, int IMAGES, int TH, int TW, int KT, int WARPS>
__global__ void __launch_bounds__(32 * WARPS)
conv(const T* x, const float* norm, const T* w, const T* added, const T* gate, const float* gate_norm, T* out, float* sums,
     int N, int H, int W, int h, int v) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, KSTEP = Num::KSTEP, THREADS = 32 * WARPS;
    constexpr int PH = (TH - 1) * STRIDE + R, PW = (TW - 1) * STRIDE + R, PITCH = C + VEC;           // of x in shared memory
    constexpr int ROWS = TURNED ? KT : C, COLUMNS = TURNED ? C : KT, SLAB_PITCH = COLUMNS + (TURNED ? VEC : 8);
    constexpr int PIXELS = IMAGES * TH * TW, MT = PIXELS / (16 * WARPS), NT = KT / 8, STAGE_PITCH = KT + 4;
    static_assert(C % KSTEP == 0 && K % KT == 0 && KT % 16 == 0, "channels come in multiples of 16");
    static_assert(PIXELS % (16 * WARPS) == 0 && THREADS % (KT / VEC) == 0 && THREADS % (C / VEC) == 0, "a tile is cut evenly");

    DYNAMIC_SHARED(memory);
    T* const tile = reinterpret_cast<T*>(memory);
    T* const slabs = tile + IMAGES * PH * PW * PITCH;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int across = (v + TW - 1) / TW, down = (h + TH - 1) / TH;
    const int v0 = blockIdx.x % across * TW, h0 = blockIdx.x / across % down * TH, n0 = blockIdx.x / (across * down) * IMAGES;
    const int k0 = blockIdx.y * KT;

    // ---- fetching: a slab of w, x with its halo -------------------------------------------------------------------------------
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
    const int c = thread % (C / VEC) * VEC;        // every thread VEC channels, always the same, of every so many pixels
    const Activation<T> activation(norm, C, c);
#pragma unroll 4
    for (int pixel = thread / (C / VEC); pixel < IMAGES * PH * PW; pixel += THREADS / (C / VEC)) {
        const int n = n0 + pixel / (PH * PW);
        const int i = h0 * STRIDE - R / 2 + pixel / PW % PH, j = v0 * STRIDE - R / 2 + pixel % PW;     // in the image, spread
        const bool inside = n < N && i >= 0 && j >= 0 && i % SPREAD == 0 && j % SPREAD == 0 && i / SPREAD < H && j / SPREAD < W;
        uint4 value = {0, 0, 0, 0};                                                    // the padding is of a, not of x
        if (inside) value = activation(x + ((size_t(n) * H + i / SPREAD) * W + j / SPREAD) * C + c);
        *reinterpret_cast<uint4*>(tile + pixel * PITCH + c) = value;
    }

    // ---- the products ---------------------------------------------------------------------------------------------------------
    const T* row[MT];                                                                  // where this lane's pixels begin
#pragma unroll
    for (int m = 0; m < MT; m++) {
        const int p = (warp * MT + m) * 16 + a_row(lane);
        row[m] = tile + ((p / (TH * TW) * PH + p / TW % TH * STRIDE) * PW + p % TW * STRIDE) * PITCH;
    }
    float sum[MT][NT][4] = {};
#pragma unroll 1
    for (int tap = 0; tap < R * R; tap++) {
        cp_async_wait<0>();
        __syncthreads();                           // the slab of this tap is there, and nobody reads the one before any more
        if (tap + 1 < R * R) fetch_slab(tap + 1);
        const T* const slab = slabs + tap % 2 * ROWS * SLAB_PITCH;
        const int shift = (tap / R * PW + tap % R) * PITCH;
#pragma unroll
        for (int from = 0; from < C; from += KSTEP) {
            unsigned a[MT][4], b[NT / 2][4];
#pragma unroll
            for (int m = 0; m < MT; m++) a_along(a[m], row[m] + shift + from, lane);
#pragma unroll
            for (int k = 0; k < NT / 2; k++) {
                if constexpr (TURNED) {
                    b_along(b[k], slab + (16 * k + b_row(lane)) * SLAB_PITCH + from, lane);
                } else {
                    Num::b_down(b[k], [&](int r) { return slab + (from + r) * SLAB_PITCH; }, 16 * k, lane);
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
            float* const at = stage + ((warp * MT + m) * 16 + lane / 4) * STAGE_PITCH + 8 * k + lane % 4 * 2;
            at[0] = sum[m][k][0], at[1] = sum[m][k][1];
            at[8 * STAGE_PITCH] = sum[m][k][2], at[8 * STAGE_PITCH + 1] = sum[m][k][3];
        }
    __syncthreads();

    // ---- added, gate, out: again every thread VEC channels, always the same ------------------------------------------------------
    constexpr int PIECES = KT / VEC;
    const int piece = thread % PIECES * VEC, k = k0 + piece;
    float first[VEC] = {}, second[VEC] = {};
    for (int p = thread / PIECES; p < PIXELS; p += THREADS / PIECES) {
        const int n = n0 + p / (TH * TW), i = h0 + p / TW % TH, j = v0 + p % TW;
        if (n >= N || i >= h || j >= v) continue;
        const size_t at = ((size_t(n) * h + i) * v + j) * K + k;
        float y[VEC], other[VEC];
#pragma unroll
        for (int q = 0; q < VEC; q++) y[q] = stage[p * STAGE_PITCH + piece + q];
        if (added) {
            Num::unpack(other, *reinterpret_cast<const uint4*>(added + at));
#pragma unroll
            for (int q = 0; q < VEC; q++) y[q] += other[q];
        }
        if (gate) {
            Num::unpack(other, *reinterpret_cast<const uint4*>(gate + at));
#pragma unroll
            for (int q = 0; q < VEC; q++)
                if (!(fmaf(other[q], gate_norm[k + q], gate_norm[K + k + q]) > 0.f)) y[q] = 0.f;
        }
        const uint4 stored = Num::pack(y);
        *reinterpret_cast<uint4*>(out + at) = stored;
        Num::unpack(y, stored);
#pragma unroll
        for (int q = 0; q < VEC; q++) first[q] += y[q], second[q] += y[q] * (gate ? other[q] : y[q]);
    }
    if (!sums) return;

    // ---- the sums of the tile -------------------------------------------------------------------------------------------------
    __syncthreads();
    float* const partial = reinterpret_cast<float*>(memory);                           // (THREADS / PIECES, 2, KT)
#pragma unroll
    for (int q = 0; q < VEC; q++) {
        partial[(thread / PIECES * 2) * KT + piece + q] = first[q];
        partial[(thread / PIECES * 2 + 1) * KT + piece + q] = second[q];
    }
    __syncthreads();
    for (int e = thread; e < 2 * KT; e += THREADS) {
        float total = 0;
        for (int r = 0; r < THREADS / PIECES; r++) total += partial[r * 2 * KT + e];
        sums[(size_t(blockIdx.x) * 2 + e / KT) * K + k0 + e % KT] = total;
    }
}
