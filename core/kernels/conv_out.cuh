// The last third of conv.cu: the sums of the products on their way out, through shared memory.
//
//   y   = the sums of the products                from `staged` (pixels, KT), float, rows 4 numbers longer
//   y  += added                                   like out, or null: the residual
//   y   = y where gate * norm[0] + norm[1] > 0, else 0                         if GATED: the gradient of the ReLU behind norm
//   out = y,  sums[tile] = (sum y, sum y * y), GATED (sum y, sum y * gate)     out (N, h, v, K), sums (tiles, 2, K) or null
//
//      staged:  pixels x KT       thread: VEC channels, always the same, of every so many pixels:  16 bytes of out
//               +-----------+     sums:   each thread its pixels, then the threads of a channel in their order
//               | 0 1 2 3   |
//               | 4 5 6 7   |     up to 8 pieces of what is added or gates are asked for before the first is used (conv_in.cuh)
//               +-----------+
//
// The sums are of y as stored: what is normalised by them later has mean 0.
#pragma once
#include "conv_in.cuh"

template <typename T>
struct Out { const T *added, *gate; const float* norm; T* out; float* sums; };

template <typename T, bool GATED, int K, int IMAGES, int TH, int TW, int KT, int THREADS>
__device__ __forceinline__ void put_out(const Out<T>& to, Place first, int N, int h, int v, float* staged) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, PITCH = KT + 4, PIXELS = IMAGES * TH * TW;
    constexpr int EVERY = THREADS / (KT / VEC), TURNS = PIXELS / EVERY, LIMIT = GATED ? 4 : 8, AT_ONCE = TURNS < LIMIT ? TURNS : LIMIT;
    static_assert(THREADS % (KT / VEC) == 0, "a thread keeps its channels");
    static_assert(PIXELS % EVERY == 0 && TURNS % AT_ONCE == 0, "every thread has equally many pixels");

    const int thread = threadIdx.x % THREADS, c = thread % (KT / VEC) * VEC, k = blockIdx.y * KT + c;
    const int pixel0 = thread / (KT / VEC) % EVERY;
    const auto inside = [&](int pixel, int& at) {              // whether there is such a pixel in the batch, and where
        const int n = first.n + pixel / (TH * TW), i = first.i + pixel / TW % TH, j = first.j + pixel % TW;
        at = ((n * h + i) * v + j) * (K / VEC) + k / VEC;
        return n < N && i < h && j < v;
    };
    float sum[VEC] = {}, sum_with[VEC] = {}, gate_a[VEC] = {}, gate_b[VEC] = {};
    if constexpr (GATED) {
#pragma unroll
        for (int q = 0; q < VEC; q++) gate_a[q] = to.norm[k + q], gate_b[q] = to.norm[K + k + q];
    }
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn += AT_ONCE) {
        uint4 more[AT_ONCE], gates[AT_ONCE];
#pragma unroll
        for (int g = 0; g < AT_ONCE; g++) {
            int at;
            if (!inside(pixel0 + (turn + g) * EVERY, at)) continue;
            if (to.added) more[g] = pieces(to.added)[at];
            if constexpr (GATED) gates[g] = pieces(to.gate)[at];
        }
        if (turn == 0) __syncthreads();            // all has been staged
#pragma unroll
        for (int g = 0; g < AT_ONCE; g++) {
            const int pixel = pixel0 + (turn + g) * EVERY;
            int at;
            if (!inside(pixel, at)) continue;
            float y[VEC], other[VEC];
#pragma unroll
            for (int q = 0; q < VEC; q++) y[q] = staged[pixel * PITCH + c + q];
            if (to.added) {
                Num::unpack(other, more[g]);
#pragma unroll
                for (int q = 0; q < VEC; q++) y[q] += other[q];
            }
            if constexpr (GATED) {
                Num::unpack(other, gates[g]);
#pragma unroll
                for (int q = 0; q < VEC; q++) y[q] = fmaf(other[q], gate_a[q], gate_b[q]) > 0.f ? y[q] : 0.f;
            }
            const uint4 stored = Num::pack(y);
            pieces(to.out)[at] = stored;
            Num::unpack(y, stored);
#pragma unroll
            for (int q = 0; q < VEC; q++) sum[q] += y[q], sum_with[q] += y[q] * (GATED ? other[q] : y[q]);
        }
    }
    if (!to.sums) return;

    __syncthreads();                               // what was staged has been read: the sums of the threads take its place
    float* const partial = staged;                                                     // (EVERY, 2, KT)
#pragma unroll
    for (int q = 0; q < VEC; q++) {
        partial[pixel0 * 2 * KT + c + q] = sum[q];
        partial[(pixel0 * 2 + 1) * KT + c + q] = sum_with[q];
    }
    __syncthreads();
    for (int e = thread; e < 2 * KT; e += THREADS) {
        float total = 0;
#pragma unroll 16
        for (int r = 0; r < EVERY; r++) total += partial[r * 2 * KT + e];
        to.sums[(size_t(blockIdx.x) * 2 + e / KT) * K + blockIdx.y * KT + e % KT] = total;
    }
}
