// The convolution's gradient with respect to w, for layers of one shape in one launch: layers (gridDim.z,).
//
//   a  = max(x * norm[0] + norm[1], 0), or x itself where norm is null         x (N, H, W, C), norm (2+, C)
//   dw[r,q,c,k] = sum_{n,i,j} a[n, i*STRIDE + r - R//2, j*STRIDE + q - R//2, c] * dy[n,i,j,k]          dy (N, h, v, K)
//
// The sum over the pixels is cut into gridDim.y parts, each into a slot of its own: slots (gridDim.y, R, R, C, K) float32.
// sgd.cu adds the slots up in their order: no atomic additions, so the same bits every time.
//
// Blocks.  blockIdx.x: CT of the C and KT of the K channels (K fastest); blockIdx.y: the part; blockIdx.z: the layer. A block goes
//          from chunk to chunk of IMAGES x TH x TW pixels of dy (number part, part + parts, ...). It has one warp for each tap:
//
//      x, CT channels, with halo      dy, KT channels           warp 0 (tap 0,0)    warp 1 (tap 0,1)     ...
//      +-------------------+          +---------------+         +-----------+       +-----------+
//      |[0 . . . . . .]. . |          | . . . . . . . |      CT | MT x NT   |       |           |        each: dw of its tap,
//      | .[. . . . . . .]. |    x^T * | . . . . . . . |   =     | mma tiles |       |           |        CT x KT, the whole
//      | . . . . . . . . . |          +---------------+         +-----------+       +-----------+        time in registers
//      +-------------------+                                          KT
//       each warp reads the pixels that its tap met: same dy, shifted x. Pixels are what is contracted, down the rows of both.
//
// 32 x 32 results of a warp (CT, KT), in halves: 4 fetches for 8 mma, 16 cycles of shared memory against 13 of the tensor cores.
//          64 x 32 would be 24 against 26, but needs 64 registers for the sums, 24 for operands and 24 for what is on its way; two
//          blocks of nine warps leave 96 to a thread. And with one block there is nobody to multiply while it stores a chunk.
#include "device.cuh"

// Normalisation and ReLU of the VEC channels from c on, as operands:  max(x a + b, 0),  norm: rows a (C,), b (C,), ...;  null: x.
template <typename T>
struct Activation {
    static constexpr int VEC = Number<T>::VEC;
    struct alignas(16) Row { float x[VEC]; } a, b;              // fetched 16 bytes at a time
    bool on;

    __device__ __forceinline__ Activation(const float* norm, int C, int c) : on(norm != nullptr) {
        if (on) a = *reinterpret_cast<const Row*>(norm + c), b = *reinterpret_cast<const Row*>(norm + C + c);
    }
    __device__ __forceinline__ uint4 operator()(uint4 stored) const {
        float x[VEC];
        Number<T>::unpack(x, stored);
        if (!on) return Number<T>::pack_operand(x);
#pragma unroll
        for (int i = 0; i < VEC; i++) x[i] = fmaf(x[i], a.x[i], b.x[i]);
        return Number<T>::pack_positive(x);
    }
};

struct alignas(8) Pair { float first, second; };  // stored at once: where a slot lies comes from a table, the compiler can't know

template <typename T> struct Layer { const T* x; const float* norm; const T* dy; float* slots; };

template <typename T, int R, int C, int K, int STRIDE, int IMAGES, int TH, int TW, int CT, int KT>
__global__ void __launch_bounds__(32 * R * R, R == 1 ? 16 : 2)
wgrad(const Layer<T>* layers, int N, int H, int W, int h, int v) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, KSTEP = Num::KSTEP, THREADS = 32 * R * R, PIXELS = IMAGES * TH * TW;
    constexpr int EVERY = R == 1 ? STRIDE : 1, APART = STRIDE / EVERY;                  // pixels of x that no tap meets are left out
    constexpr int PH = (TH - 1) * APART + R, PW = (TW - 1) * APART + R, X_PITCH = CT + 8, DY_PITCH = KT + 8;
    constexpr int MT = CT / 16, NT = KT / 8;
    static_assert(PIXELS % KSTEP == 0 && CT % 16 == 0 && KT % 16 == 0 && C % CT == 0 && K % KT == 0, "everything is cut evenly");
    static_assert(THREADS % (CT / VEC) == 0 && THREADS % (KT / VEC) == 0, "a thread keeps its channels");

    const Layer<T>& layer = layers[blockIdx.z];   // read anew for each chunk, not kept in registers
    DYNAMIC_SHARED(memory);
    T* const tile = reinterpret_cast<T*>(memory);                                      // (IMAGES, PH, PW, CT)
    T* const dtile = tile + IMAGES * PH * PW * X_PITCH;                                // (IMAGES, TH, TW, KT)
    const int thread = threadIdx.x, lane = thread % 32, tap = thread / 32;
    const int c0 = blockIdx.x / (K / KT) * CT, k0 = blockIdx.x % (K / KT) * KT;
    const int across = (v + TW - 1) / TW, down = (h + TH - 1) / TH, chunks = across * down * ((N + IMAGES - 1) / IMAGES);

    // A thread moves XS pieces of x and then some of dy, 16 bytes each, always the same channels. Where its registers hold them all
    // (AHEAD), it fetches those of the next chunk before it multiplies this one; elsewhere GROUP are on their way at a time.
    constexpr int X_STEP = THREADS / (CT / VEC), XS = (IMAGES * PH * PW + X_STEP - 1) / X_STEP;
    constexpr int DY_STEP = THREADS / (KT / VEC), PIECES = XS + (PIXELS + DY_STEP - 1) / DY_STEP;
    constexpr bool AHEAD = PIECES <= 5;
    constexpr int GROUP = AHEAD ? PIECES : 6;
    uint4 held[GROUP];
    unsigned inside;                               // bit e: held[e] lies in its image
    const auto fetch = [&](int chunk, int begin) { // behind the last chunk nothing lies in an image
        const unsigned t = afresh(thread), c = c0 + t % (CT / VEC) * VEC, k = k0 + t % (KT / VEC) * VEC;
        const int v0 = chunk % across * TW, h0 = chunk / across % down * TH, n0 = chunk / (across * down) * IMAGES;
        const int i0 = h0 * STRIDE - R / 2, j0 = v0 * STRIDE - R / 2;
        const T* const x = layer.x + ((static_cast<long long>(n0) * H + i0) * W + j0) * C + c;
        const T* const dy = layer.dy + ((static_cast<long long>(n0) * h + h0) * v + v0) * K + k;
        inside = 0;
#pragma unroll
        for (int e = 0; e < GROUP; e++) {
            const T* from = nullptr;
            if (begin + e < XS) {
                const unsigned p = t / (CT / VEC) + (begin + e) * X_STEP;
                const int n = p / (PH * PW), i = p / PW % PH * EVERY, j = p % PW * EVERY;
                const bool in = n0 + n < N && unsigned(i0 + i) < unsigned(H) && unsigned(j0 + j) < unsigned(W);
                if (in) from = x + ((n * H + i) * W + j) * C;
            } else {
                const unsigned p = t / (KT / VEC) + (begin + e - XS) * DY_STEP;
                const int n = p / (TH * TW), i = p / TW % TH, j = p % TW;
                if (n0 + n < N && h0 + i < h && v0 + j < v) from = dy + ((n * h + i) * v + j) * K;
            }
            inside |= unsigned(from != nullptr) << e;
            held[e] = {0, 0, 0, 0};
            if (from) held[e] = load_global(from);
        }
    };
    const auto put = [&](int begin) {
        const int t = afresh(thread), c = t % (CT / VEC) * VEC, k = t % (KT / VEC) * VEC;
        const Activation<T> activation(layer.norm, C, c0 + c);
#pragma unroll
        for (int e = 0; e < GROUP && begin + e < PIECES; e++) {
            const bool of_x = begin + e < XS;
            const int p = of_x ? t / (CT / VEC) + (begin + e) * X_STEP : t / (KT / VEC) + (begin + e - XS) * DY_STEP;
            if (p >= (of_x ? IMAGES * PH * PW : PIXELS)) continue;
            uint4 value = {0, 0, 0, 0};            // and not what 0 is normalised to
            if (inside >> e & 1) value = of_x ? activation(held[e]) : Num::operands(held[e]);
            *reinterpret_cast<uint4*>(of_x ? tile + p * X_PITCH + c : dtile + p * DY_PITCH + k) = value;
        }
    };

    float sum[MT][NT][4] = {};
    if (AHEAD) fetch(blockIdx.y, 0);
    for (int chunk = blockIdx.y; chunk < chunks; chunk += gridDim.y) {
        __syncthreads();                           // nobody reads the chunk before any more
#pragma unroll 1
        for (int begin = 0; begin < PIECES; begin += GROUP) {
            if (!AHEAD) fetch(chunk, begin);
            put(begin);
        }
        __syncthreads();
        if (AHEAD) fetch(chunk + gridDim.y, 0);

#pragma unroll 2
        for (int p0 = 0; p0 < PIXELS; p0 += KSTEP) {
            const auto x_row = [&](int pixel) {    // the pixel of x that this warp's tap met
                const int p = p0 + pixel, i = p / TW % TH * APART + tap / R, j = p % TW * APART + tap % R;
                return tile + ((p / (TH * TW) * PH + i) * PW + j) * X_PITCH;
            };
            const auto dy_row = [&](int pixel) { return dtile + (p0 + pixel) * DY_PITCH; };
            unsigned a[MT][4], b[NT / 2][4];
#pragma unroll
            for (int m = 0; m < MT; m++) Num::a_down(a[m], x_row, 16 * m, lane);
#pragma unroll
            for (int n = 0; n < NT / 2; n++) Num::b_down(b[n], dy_row, 16 * n, lane);
#pragma unroll
            for (int m = 0; m < MT; m++)
#pragma unroll
                for (int n = 0; n < NT; n++) Num::mma(sum[m][n], a[m], b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]);
        }
    }

    float* const slot = layer.slots + (size_t(blockIdx.y) * R * R + tap) * C * K;
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
        for (int n = 0; n < NT; n++) {
            Pair* const at = reinterpret_cast<Pair*>(slot + (c0 + 16 * m + lane / 4) * K + k0 + 8 * n + lane % 4 * 2);
            at[0] = {sum[m][n][0], sum[m][n][1]}, at[4 * K] = {sum[m][n][2], sum[m][n][3]};
        }
}
