// Batch normalisation for the kernels that read a normalised tensor: what a block has to know of the whole batch.
//
//   sums (slots, 2, C)   made by the kernel before, a slot for each of its tiles;  M: pixels of the batch
//   norm (4, C)          a, b, mean, 1/std
//   forward      of x, x*x:  mean, var;  a = gamma / std,  b = beta - mean * a                              z = x a + b
//   backward     of g, g*x:  dgamma = (sum g*x - mean sum g) / std,  dbeta = sum g                          dx = g a + x c1 + c0
//                            c1 = -a / std * dgamma / M,  c0 = -a dbeta / M - c1 mean
//
// g is the gradient behind the normalisation, zero where the ReLU was. Each block adds the slots up for itself, in the same order, so
// all have the same bits: at most 64 KB from the cache, while its first numbers of x are on their way. A kernel in between would
// read them once, and cost a launch and a wait of all the others (predicted: 4 us, against 1 to 3 us here).
//
//      slots  0  1  2  3 ...        thread: four of the 2 C columns, every so many rows       then channel by channel
//             |  |  |  |            row 0: slots 0, rows, ...   row 1: slots 1, rows + 1, ...     sum of the rows
//
// A cluster of blocks (variant s, conv.cu) does this together: each block adds an eighth of the slots up, and then the eight sums, read
// from the shared memory of each, in their order: 8 KB per block instead of 64, for two barriers of the cluster.
//
// M var = sum x*x - M mean^2 loses the digits that mean^2 / var has. The slots are sums of some hundred pixels in float32; a row is
// added up in float32 with its losses carried along (Kahan), the rows in float64.
#pragma once
#include "device.cuh"

// use(c, first, second) for every channel, by thread c; scratch: 4 floats for each of the threads, of which there are at least C.
// shares (2, C): of a cluster of more than one block; once it has arrived here, it has to wait for the others before it writes there.
template <int CLUSTER = 1, typename Use>
__device__ __forceinline__ void with_totals(const float* sums, int slots, int C, float* scratch, int threads, Use use,
                                            double* shares = nullptr) {
    const int quads = C / 2, quad = threadIdx.x % quads, rows = threads / quads, row = threadIdx.x / quads;
    const int mine = CLUSTER > 1 ? blockIdx.x % CLUSTER : 0;
    float total[4] = {}, lost[4] = {};
#pragma unroll 8
    for (int s = row * CLUSTER + mine; s < slots; s += rows * CLUSTER) {
        float x[4];
        Number<float>::unpack(x, *reinterpret_cast<const uint4*>(sums + size_t(s) * 2 * C + 4 * quad));
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float more = x[i] - lost[i], sum = total[i] + more;
            lost[i] = (sum - total[i]) - more, total[i] = sum;
        }
    }
    *reinterpret_cast<uint4*>(scratch + row * 2 * C + 4 * quad) = Number<float>::pack(total);
    __syncthreads();
    const int c = threadIdx.x;
    double first = 0, second = 0;
    if (c < C) {
#pragma unroll 4
        for (int r = 0; r < rows; r++) first += scratch[r * 2 * C + c], second += scratch[r * 2 * C + C + c];
    }
    if constexpr (CLUSTER > 1) {
        if (c < C) shares[c] = first, shares[C + c] = second;
        cluster_arrive();
        cluster_wait();
        first = second = 0;
        if (c < C) {
#pragma unroll
            for (int r = 0; r < CLUSTER; r++) first += cluster_load(shares + c, r), second += cluster_load(shares + C + c, r);
        }
        cluster_arrive();
    }
    if (c < C) use(c, first, second);
}

struct Norm { float a, b, mean, inv_std; };

__device__ __forceinline__ Norm norm_of(double mean, double var, float gamma, float beta) {
    const float inv_std = 1 / sqrtf(float(var) + 2e-5f), a = gamma * inv_std;          // core/layers.py: BATCHNORM_EPS
    return {a, float(beta - mean * a), float(mean), inv_std};
}

__device__ __forceinline__ void store(float* norm, int C, int c, Norm n) {
    norm[c] = n.a, norm[C + c] = n.b, norm[2 * C + c] = n.mean, norm[3 * C + c] = n.inv_std;
}

// norm from the totals; moments (2, C): mean and M / (M - 1) var, for the running statistics. Both written if asked.
__device__ __forceinline__ Norm forward(int c, double first, double second, int C, int M, const float* affine, float* norm,
                                        float* moments, bool writes) {
    const float near = 1.f / M;
    const double share = near * (2.0 - double(M) * near);      // 1 / M to 14 digits by Newton's step: no slow division of doubles
    const double mean = first * share, centred = second * share - mean * mean, var = centred < 0 ? 0 : centred;
    const Norm found = norm_of(mean, var, affine[c], affine[C + c]);
    if (writes) {
        store(norm, C, c, found);
        moments[c] = float(mean), moments[C + c] = float(var) * (M / (M > 1 ? M - 1.f : 1.f));
    }
    return found;
}

struct Terms { float a, c1, c0; };

// terms of dx from the totals; affine_gradient (2, C): dgamma, dbeta, written if asked.
__device__ __forceinline__ Terms backward(int c, double first, double second, int C, int M, const float* norm,
                                          float* affine_gradient, bool writes) {
    const float a = norm[c], mean = norm[2 * C + c], inv_std = norm[3 * C + c];
    const float dgamma = float(second - mean * first) * inv_std, dbeta = float(first);
    const float c1 = -a * inv_std * dgamma / M;
    if (writes) affine_gradient[c] = dgamma, affine_gradient[C + c] = dbeta;
    return {a, c1, -a * dbeta / M - c1 * mean};
}
