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
#include "device.cuh"

template <typename T> struct Layer { const T* x; const float* norm; const T* dy; float* slots; };

template <typename T, int R, int C, int K, int STRIDE, int IMAGES, int TH, int TW, int CT, int KT>
__global__ void __launch_bounds__(32 * R * R, 2)
wgrad(const Layer<T>* layers, int N, int H, int W, int h, int v) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC, KSTEP = Num::KSTEP, THREADS = 32 * R * R, PIXELS = IMAGES * TH * TW;
    constexpr int PH = (TH - 1) * STRIDE + R, PW = (TW - 1) * STRIDE + R, X_PITCH = CT + 8, DY_PITCH = KT + 8;
    constexpr int MT = CT / 16, NT = KT / 8;
    static_assert(PIXELS % KSTEP == 0 && CT % 16 == 0 && KT % 16 == 0 && C % CT == 0 && K % KT == 0, "everything is cut evenly");
    static_assert(THREADS % (CT / VEC) == 0 && THREADS % (KT / VEC) == 0, "a thread keeps its channels");

    const Layer<T> layer = layers[blockIdx.z];
    DYNAMIC_SHARED(memory);
    T* const tile = reinterpret_cast<T*>(memory);                                      // (IMAGES, PH, PW, CT)
    T* const dtile = tile + IMAGES * PH * PW * X_PITCH;                                // (IMAGES, TH, TW, KT)
    const int thread = threadIdx.x, lane = thread % 32, tap = thread / 32;
    const int c0 = blockIdx.x / (K / KT) * CT, k0 = blockIdx.x % (K / KT) * KT;
    const int across = (v + TW - 1) / TW, down = (h + TH - 1) / TH, chunks = across * down * ((N + IMAGES - 1) / IMAGES);

    const int c = thread % (CT / VEC) * VEC, k = thread % (KT / VEC) * VEC;            // the channels that this thread fetches
    const Activation<T> activation(layer.norm, C, c0 + c), identity(nullptr, K, 0);
    float sum[MT][NT][4] = {};
    for (int chunk = blockIdx.y; chunk < chunks; chunk += gridDim.y) {
        const int v0 = chunk % across * TW, h0 = chunk / across % down * TH, n0 = chunk / (across * down) * IMAGES;
        __syncthreads();                           // nobody reads the chunk before any more
#pragma unroll 2
        for (int pixel = thread / (CT / VEC); pixel < IMAGES * PH * PW; pixel += THREADS / (CT / VEC)) {
            const int n = n0 + pixel / (PH * PW);
            const int i = h0 * STRIDE - R / 2 + pixel / PW % PH, j = v0 * STRIDE - R / 2 + pixel % PW;
            uint4 value = {0, 0, 0, 0};
            if (n < N && i >= 0 && j >= 0 && i < H && j < W) value = activation(layer.x + ((size_t(n) * H + i) * W + j) * C + c0 + c);
            *reinterpret_cast<uint4*>(tile + pixel * X_PITCH + c) = value;
        }
#pragma unroll 2
        for (int pixel = thread / (KT / VEC); pixel < PIXELS; pixel += THREADS / (KT / VEC)) {
            const int n = n0 + pixel / (TH * TW), i = h0 + pixel / TW % TH, j = v0 + pixel % TW;
            uint4 value = {0, 0, 0, 0};
            if (n < N && i < h && j < v) value = identity(layer.dy + ((size_t(n) * h + i) * v + j) * K + k0 + k);
            *reinterpret_cast<uint4*>(dtile + pixel * DY_PITCH + k) = value;
        }
        __syncthreads();

#pragma unroll 2
        for (int p0 = 0; p0 < PIXELS; p0 += KSTEP) {
            const auto x_row = [&](int pixel) {    // the pixel of x that this warp's tap met
                const int p = p0 + pixel, i = p / TW % TH * STRIDE + tap / R, j = p % TW * STRIDE + tap % R;
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
            float* const at = slot + (c0 + 16 * m + lane / 4) * K + k0 + 8 * n + lane % 4 * 2;
            at[0] = sum[m][n][0], at[1] = sum[m][n][1];
            at[8 * K] = sum[m][n][2], at[8 * K + 1] = sum[m][n][3];
        }
}
