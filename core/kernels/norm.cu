// Batch normalisation outside of the convolutions: norm.cuh has the equations and the letters.
//
//   norm_inference   norm (4, C) from given moments (2, C)
//   norm_backward    dx = g * a + x * c1 + c0,  dgamma, dbeta from sums        x, g, dx (M, C): where no convolution does it
//   fewer_slots      some (slots / group, 2, C) from sums (slots, 2, C)        a large batch has more slots than a block should read
//
//      fewer_slots: block = some slots, thread = column        norm_backward: thread = VEC channels of every so many pixels
//      columns ->  0 1 2 ... 2C-1
//      slots    |  + + +      +       one row out
//      of group v  + + +      +
#include "device.cuh"
#include "norm.cuh"

constexpr int AT_ONCE = 4;

__global__ void norm_inference(const float* moments, const float* affine, float* norm, int C) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c < C) store(norm, C, c, norm_of(moments[c], moments[C + c], affine[c], affine[C + c]));
}

__global__ void fewer_slots(const float* sums, float* some, int slots, int columns, int group) {
    const int from = blockIdx.x * group, to = from + group < slots ? from + group : slots;
    for (int e = threadIdx.x; e < columns; e += blockDim.x) {
        double total = 0;
#pragma unroll 8
        for (int s = from; s < to; s++) total += sums[size_t(s) * columns + e];
        some[size_t(blockIdx.x) * columns + e] = float(total);
    }
}

// The number of threads in all is a multiple of C / VEC.
template <typename T>
__global__ void norm_backward(const T* g, const T* x, const float* sums, const float* norm, float* affine_gradient, T* dx,
                              int M, int C, int slots) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC;
    DYNAMIC_SHARED(memory);                                                            // 4 floats for each thread, (3, C)
    float *const scratch = reinterpret_cast<float*>(memory), *const found = scratch + 4 * blockDim.x;
    with_totals(sums, slots, C, scratch, blockDim.x, [&](int c, double first, double second) {
        const Terms t = backward(c, first, second, C, M, norm, affine_gradient, blockIdx.x == 0);
        found[c] = t.a, found[C + c] = t.c1, found[2 * C + c] = t.c0;
    });
    __syncthreads();
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, pieces = C / VEC, c = thread % pieces * VEC;
    const int every = gridDim.x * blockDim.x / pieces;
    for (int begin = thread / pieces; begin < M; begin += AT_ONCE * every) {           // fetched together, before anything is stored
        uint4 of_g[AT_ONCE], of_x[AT_ONCE];
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++) {
            const size_t at = size_t(begin + r * every) * C + c;
            if (begin + r * every >= M) continue;
            of_g[r] = *reinterpret_cast<const uint4*>(g + at), of_x[r] = *reinterpret_cast<const uint4*>(x + at);
        }
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++) {
            if (begin + r * every >= M) continue;
            float vg[VEC], vx[VEC];
            Num::unpack(vg, of_g[r]);
            Num::unpack(vx, of_x[r]);
#pragma unroll
            for (int q = 0; q < VEC; q++) vg[q] = fmaf(vg[q], found[c + q], fmaf(vx[q], found[C + c + q], found[2 * C + c + q]));
            *reinterpret_cast<uint4*>(dx + size_t(begin + r * every) * C + c) = Num::pack(vg);
        }
    }
}
