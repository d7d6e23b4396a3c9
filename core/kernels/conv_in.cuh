// The first third of conv.cu: a tile of x with its halo, on its way from memory into shared memory.
//
//   a  = x                                        PLAIN
//      = max(x * norm[0] + norm[1], 0)            GIVEN: norm (4, C), of the running statistics
//      = the same, with norm from sums            BATCH: sums (slots, 2, C), affine (2, C);  it leaves norm, and the moments in
//                                                        statistics (2, C)
//      = x * a + before * c1 + c0 [+ came_round]  GRADIENT: x is the gradient behind a normalisation of `before`;  a, c1, c0 from sums
//                                                        and norm;  it leaves a in kept, dgamma and dbeta in statistics (2, C)
//
//      x, before, ...      +-----------------------+          shared memory: pixel by pixel, C numbers and 16 bytes free
//      (N, H, W, C)        | o o o o o o o o o o o |          thread: VEC channels, always the same, of every so many pixels
//                          | o . . . . . . . . . o |          o: halo. What lies outside the image is a = 0, which is not
//                          | o . . . . . . . . . o |             what an x of 0 is normalised to
//                          | o o o o o o o o o o o |          .: kept, by this block alone
//                          +-----------------------+
//
// A number from memory comes after some 600 cycles, one from the cache after 300. So a thread asks for up to 11 pieces of 16 bytes
// (3 of each of three tensors) before it uses the first; and while they are on their way, the block adds up the sums.
#pragma once
#include "device.cuh"
#include "norm.cuh"

enum Source { PLAIN, GIVEN, BATCH, GRADIENT };

struct Place { int n, i, j; };                     // of the first pixel of a tile: image, row, column

template <typename T>
struct In { const T *x, *before, *came_round; T* kept; const float *sums, *affine; float *norm, *statistics; int slots; };

// found (3, C) and behind it shares (2, C) of with_totals
template <typename T, Source SOURCE, int R, int C, int STRIDE, int SPREAD, int IMAGES, int TH, int TW, int THREADS, int CLUSTER>
__device__ __forceinline__ void take_in(const In<T>& in, Place first, int N, int H, int W, T* tile, float* found) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, PH = (TH - 1) * STRIDE + R, PW = (TW - 1) * STRIDE + R, HALO = IMAGES * PH * PW, PITCH = C + VEC;
    constexpr int TENSORS = SOURCE == GRADIENT ? 3 : 1, EVERY = THREADS / (C / VEC), TURNS = (HALO + EVERY - 1) / EVERY;
    constexpr int LIMIT = SOURCE == GRADIENT ? 3 : R == 1 ? 8 : 11, AT_ONCE = TURNS < LIMIT ? TURNS : LIMIT;
    static_assert(THREADS % (C / VEC) == 0, "a thread keeps its channels");
    static_assert(SOURCE != GRADIENT || STRIDE == 1, "a gradient is spread, it does not stride");

    const int thread = threadIdx.x % THREADS, c = thread % (C / VEC) * VEC, pixel0 = thread / (C / VEC) % EVERY;  // %: see conv.cu
    const auto inside = [&](int pixel, int& at) {              // whether there is such a pixel in the batch, and where
        const int n = first.n + pixel / (PH * PW);
        const int i = first.i * STRIDE - R / 2 + pixel / PW % PH, j = first.j * STRIDE - R / 2 + pixel % PW;   // in the image, spread
        at = ((n * H + i / SPREAD) * W + j / SPREAD) * (C / VEC) + c / VEC;
        return pixel < HALO && n < N && i >= 0 && j >= 0 && i % SPREAD == 0 && j % SPREAD == 0 && i / SPREAD < H && j / SPREAD < W;
    };
    uint4 raw[AT_ONCE][TENSORS];
    int places[AT_ONCE];                                       // -1: outside
    const auto load = [&](int turn) {
#pragma unroll
        for (int g = 0; g < AT_ONCE; g++) {
            int at;
            places[g] = inside(pixel0 + (turn + g) * EVERY, at) ? at : -1;
            if (places[g] < 0) continue;
            raw[g][0] = pieces(in.x)[at];
            if constexpr (SOURCE == GRADIENT) {
                raw[g][1] = pieces(in.before)[at];
                if (in.came_round) raw[g][2] = pieces(in.came_round)[at];
            }
        }
    };
    load(0);

    float factor[VEC] = {}, term[VEC] = {}, shift[VEC] = {};   // a = x factor [+ before term] + shift
    if constexpr (SOURCE == BATCH || SOURCE == GRADIENT) {
        static_assert(HALO * PITCH * sizeof(T) >= 16 * THREADS, "what is added up takes the place of x, not of w, which is arriving");
        const bool writes = blockIdx.x == 0 && blockIdx.y == 0;
        const auto use = [&](int k, double sum, double sum_with) {
            if constexpr (SOURCE == BATCH) {
                const Norm n = forward(k, sum, sum_with, C, N * H * W, in.affine, in.norm, in.statistics, writes);
                found[k] = n.a, found[2 * C + k] = n.b;
            } else {
                const Terms t = backward(k, sum, sum_with, C, N * H * W, in.norm, in.statistics, writes);
                found[k] = t.a, found[C + k] = t.c1, found[2 * C + k] = t.c0;
            }
        };
        with_totals<CLUSTER>(in.sums, in.slots, C, reinterpret_cast<float*>(tile), THREADS, use,
                             reinterpret_cast<double*>(found + 3 * C));
        __syncthreads();
#pragma unroll
        for (int q = 0; q < VEC; q++) {
            factor[q] = found[c + q], shift[q] = found[2 * C + c + q];
            if constexpr (SOURCE == GRADIENT) term[q] = found[C + c + q];
        }
    } else if constexpr (SOURCE == GIVEN) {
#pragma unroll
        for (int q = 0; q < VEC; q++) factor[q] = in.norm[c + q], shift[q] = in.norm[C + c + q];
    }

    const auto put = [&](int turn) {
#pragma unroll
        for (int g = 0; g < AT_ONCE; g++) {
            const int pixel = pixel0 + (turn + g) * EVERY;
            uint4 value = {0, 0, 0, 0};
            if (places[g] >= 0) {
                float a[VEC], other[VEC];
                Num::unpack(a, raw[g][0]);
                if constexpr (SOURCE == GRADIENT) {
                    Num::unpack(other, raw[g][1]);
#pragma unroll
                    for (int q = 0; q < VEC; q++) a[q] = fmaf(a[q], factor[q], fmaf(other[q], term[q], shift[q]));
                    if (in.came_round) {
                        Num::unpack(other, raw[g][2]);
#pragma unroll
                        for (int q = 0; q < VEC; q++) a[q] += other[q];
                    }
                    const int i = pixel / PW % PH - R / 2, j = pixel % PW - R / 2;     // the halo is kept by the neighbours
                    if (i >= 0 && i < TH && j >= 0 && j < TW && blockIdx.y == 0) pieces(in.kept)[places[g]] = Num::pack(a);
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
    for (int turn = AT_ONCE; turn < TURNS; turn += AT_ONCE) load(turn), put(turn);
}
