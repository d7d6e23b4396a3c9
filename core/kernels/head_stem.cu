// The two ends of the network.
//
//   gather           x = augmented(images, order[step * B + b], seed, epoch)   core/batches.py: the same bits, then rounded
//   load_images      x = the images given                                      images (N, H, W, channels) float32
//   head_forward     pooled (N, C) = mean over the pixels of max(x * norm[0] + norm[1], 0);  logits = pooled w + b
//                    norm from sums, with its moments (norm.cuh); where sums is null, as given
//   head_backward    g (N, H, W, C) = dlogits w^T / (H W) where x * norm[0] + norm[1] > 0, else 0;  sums (N, 2, C) of g, g*x
//   linear_gradient  dw (C, classes) = pooled^T dlogits,  db = sum_n dlogits
//
// For the tensor cores x has 16 channels, of which those behind the last are zero: (N, H, W, 16).
//
//      head: one block of 256 threads = one image        thread = channel + C * part:   part 0 | part 1 | ...
//                                                         part p takes the pixels p, p + parts, ...; then parts are added in order
#include "device.cuh"
#include "norm.cuh"

constexpr int PADDED = 16, HEAD = 256, AT_ONCE = 8;

__device__ __forceinline__ unsigned mixed(unsigned h) {
    h = (h ^ h >> 16) * 0x85EBCA6Bu;
    h = (h ^ h >> 13) * 0xC2B2AE35u;
    return h ^ h >> 16;
}

// Pixel e of x: value(c) for c < channels, then zeros.
template <typename T, typename Value>
__device__ __forceinline__ void put_pixel(T* x, int e, int channels, Value value) {
    constexpr int VEC = Number<T>::VEC;
#pragma unroll
    for (int piece = 0; piece < PADDED / VEC; piece++) {
        float v[VEC];
#pragma unroll
        for (int q = 0; q < VEC; q++) v[q] = piece * VEC + q < channels ? value(piece * VEC + q) : 0.f;
        pieces(x)[e * (PADDED / VEC) + piece] = Number<T>::pack(v);
    }
}

// state: step, ..., key (of seed and epoch);  one thread for each pixel
template <typename T>
__global__ void gather(const unsigned char* pixels, const float* mean, const int* order, const int* state, T* x,
                       int B, int H, int W, int channels, int pad, int flip) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e >= B * H * W) return;
    const int i = order[state[0] * B + e / (H * W)];
    const unsigned bits = mixed(unsigned(state[3]) ^ unsigned(i)), shifts = 2 * pad + 1;
    const int down = int((bits & 0xFFF) * shifts >> 12) - pad, right = int((bits >> 12 & 0xFFF) * shifts >> 12) - pad;
    const int column = flip && bits >> 31 ? W - 1 - e % W : e % W;
    const int row_from = e / W % H + down, column_from = column + right;
    const bool inside = row_from >= 0 && row_from < H && column_from >= 0 && column_from < W;
    const size_t from = inside ? (size_t(row_from) * W + column_from) * channels : 0, image = size_t(i) * H * W * channels;
    put_pixel(x, e, inside ? channels : 0, [&](int c) { return pixels[image + from + c] / 255.f - mean[from + c]; });
}

template <typename T>
__global__ void load_images(const float* images, T* x, int M, int channels) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e < M) put_pixel(x, e, channels, [&](int c) { return images[size_t(e) * channels + c]; });
}

template <typename T>
__global__ void __launch_bounds__(HEAD, 4)
head_forward(const T* x, const float* sums, const float* affine, float* norm, float* moments, const float* w, const float* b,
             float* pooled, float* logits, int pixels, int C, int classes, int slots) {
    DYNAMIC_SHARED(memory);                                                            // 4 HEAD floats; (2, C): a, b of the norm
    float *const partial = reinterpret_cast<float*>(memory), *const found = partial + 4 * HEAD;
    const int c = threadIdx.x % C, parts = HEAD / C, part = threadIdx.x / C, n = blockIdx.x;
    if (sums) {
        with_totals(sums, slots, C, partial, HEAD, [&](int k, double first, double second) {
            const Norm of_k = forward(k, first, second, C, gridDim.x * pixels, affine, norm, moments, n == 0);
            found[k] = of_k.a, found[C + k] = of_k.b;
        });
    } else if (part == 0) {
        found[c] = norm[c], found[C + c] = norm[C + c];
    }
    __syncthreads();
    float sum = 0;
#pragma unroll 8
    for (int p = part; p < pixels; p += parts) {
        const float z = fmaf(Number<T>::get(x[(size_t(n) * pixels + p) * C + c]), found[c], found[C + c]);
        sum += z < 0.f ? 0.f : z;
    }
    partial[threadIdx.x] = sum;
    __syncthreads();
    if (part == 0) {
        for (int q = 1; q < parts; q++) sum += partial[q * C + c];
        partial[c] = sum / pixels;                       // no other thread reads this place
        pooled[size_t(n) * C + c] = sum / pixels;
    }
    __syncthreads();
    for (int k = threadIdx.x / 32; k < classes; k += HEAD / 32) {                        // a warp for each class
        float z = 0;
        for (int q = threadIdx.x % 32; q < C; q += 32) z = fmaf(partial[q], w[q * classes + k], z);
        z = warp_sum(z);
        if (threadIdx.x % 32 == 0) logits[size_t(n) * classes + k] = z + b[k];
    }
}

template <typename T>
__global__ void __launch_bounds__(HEAD)
head_backward(const float* dlogits, const float* w, const T* x, const float* norm, T* g, float* sums,
              int pixels, int C, int classes) {
    DYNAMIC_SHARED(memory);                                                            // (2, HEAD) floats
    float* const partial = reinterpret_cast<float*>(memory);
    const int c = threadIdx.x % C, parts = HEAD / C, part = threadIdx.x / C, n = blockIdx.x;
    float d = 0, first = 0, second = 0;
    for (int k = 0; k < classes; k++) d = fmaf(dlogits[size_t(n) * classes + k], w[c * classes + k], d);
    d /= pixels;
    for (int begin = part; begin < pixels; begin += AT_ONCE * parts) {                 // fetched together, before anything is stored
        T value[AT_ONCE];
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++)
            if (begin + r * parts < pixels) value[r] = x[(size_t(n) * pixels + begin + r * parts) * C + c];
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++) {
            if (begin + r * parts >= pixels) continue;
            const float found = Number<T>::get(value[r]);
            const T stored = Number<T>::put(fmaf(found, norm[c], norm[C + c]) > 0.f ? d : 0.f);
            g[(size_t(n) * pixels + begin + r * parts) * C + c] = stored;
            first += Number<T>::get(stored), second += Number<T>::get(stored) * found;
        }
    }
    partial[threadIdx.x] = first, partial[HEAD + threadIdx.x] = second;
    __syncthreads();
    if (part) return;
    for (int q = 1; q < parts; q++) first += partial[q * C + c], second += partial[HEAD + q * C + c];
    sums[size_t(2 * n) * C + c] = first, sums[size_t(2 * n + 1) * C + c] = second;
}

// Block c < C: row c of dw; block C: db.
__global__ void linear_gradient(const float* pooled, const float* dlogits, float* dw, float* db, int N, int C, int classes) {
    const int c = blockIdx.x;
    for (int k = threadIdx.x; k < classes; k += blockDim.x) {
        float sum = 0;
        for (int n = 0; n < N; n++) sum = fmaf(c < C ? pooled[size_t(n) * C + c] : 1.f, dlogits[size_t(n) * classes + k], sum);
        (c < C ? dw + size_t(c) * classes : db)[k] = sum;
    }
}
