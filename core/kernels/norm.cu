// Batch normalisation between the convolutions: what has to be known of the whole batch before the next kernel can begin.
//
//   norm_forward     mean, var from sums (slots, 2, C) of x, x*x over M pixels;  norm (4, C) = a, b, mean, 1/std
//                    a = gamma / std,  b = beta - mean * a;  moments: mean and M / (M - 1) var, for the running statistics
//   norm_inference   norm from given moments
//   norm_backward    from sums (slots, 2, C) of g, g*x:  dgamma = (sum g*x - mean sum g) / std,  dbeta = sum g,  and
//                    terms (3, C): a,  c1 = -a / std * dgamma / M,  c0 = -a dbeta / M - c1 mean
//   norm_apply       dx = g * a + x * c1 + c0  [+ added]                       x, g, added, dx (M, C)
//
// g is the gradient behind the normalisation, zero where the ReLU was. The sums of the slots are made in a fixed order: warp r of a
// block adds the slots r, r + 32, ..., then the first warp adds the 32 results; lane = channel.
//
//      slots  0  1  2 ... 31 32 33 ...          one block for 32 channels
//             |  |  |      |  |  |
//      warp   0  1  2 ... 31  0  1 ...   ->  32 partial sums  ->  1
//
// M var = sum x*x - M mean^2 loses the digits that mean^2 / var has: the slots are sums of some 100 pixels in float32, added up
// in float64, so that a mean of ten standard deviations costs 1e-5 of var.
#include "device.cuh"

constexpr int ROWS = 32;

// For the lane's channel, in the first warp: (sum of sums[:, 0, c], sum of sums[:, 1, c]). False in the other warps.
__device__ __forceinline__ bool add_slots(const float* sums, int slots, int C, int c, double& first, double& second) {
    DYNAMIC_SHARED(memory);                                                            // (2, ROWS, 32) doubles
    double* const partial = reinterpret_cast<double*>(memory);
    const int lane = threadIdx.x % 32, row = threadIdx.x / 32;
    first = second = 0;
#pragma unroll 4
    for (int s = row; c < C && s < slots; s += ROWS) {
        first += sums[size_t(2 * s) * C + c];
        second += sums[size_t(2 * s + 1) * C + c];
    }
    partial[row * 32 + lane] = first, partial[(ROWS + row) * 32 + lane] = second;
    __syncthreads();
    if (row) return false;
    first = second = 0;
#pragma unroll 4
    for (int r = 0; r < ROWS; r++) first += partial[r * 32 + lane], second += partial[(ROWS + r) * 32 + lane];
    return c < C;
}

__device__ __forceinline__ void write_norm(float* norm, int C, int c, double mean, double var, float gamma, float beta) {
    const double inv_std = 1 / sqrt(var + 2e-5), a = gamma * inv_std;                  // core/layers.py: BATCHNORM_EPS
    norm[c] = float(a), norm[C + c] = float(beta - mean * a), norm[2 * C + c] = float(mean), norm[3 * C + c] = float(inv_std);
}

__global__ void __launch_bounds__(32 * ROWS)
norm_forward(const float* sums, int slots, int C, int M, const float* gamma, const float* beta, float* norm,
             float* moment_mean, float* moment_var) {
    const int c = blockIdx.x * 32 + threadIdx.x % 32;
    double first, second;
    if (!add_slots(sums, slots, C, c, first, second)) return;
    const double mean = first / M, centred = second / M - mean * mean, var = centred < 0 ? 0 : centred;
    write_norm(norm, C, c, mean, var, gamma[c], beta[c]);
    moment_mean[c] = float(mean), moment_var[c] = float(var * M / (M > 1 ? M - 1 : 1));
}

__global__ void norm_inference(const float* mean, const float* var, const float* gamma, const float* beta, float* norm, int C) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    if (c < C) write_norm(norm, C, c, mean[c], var[c], gamma[c], beta[c]);
}

__global__ void __launch_bounds__(32 * ROWS)
norm_backward(const float* sums, int slots, int C, int M, const float* norm, float* dgamma, float* dbeta, float* terms) {
    const int c = blockIdx.x * 32 + threadIdx.x % 32;
    double first, second;
    if (!add_slots(sums, slots, C, c, first, second)) return;
    const double a = norm[c], mean = norm[2 * C + c], inv_std = norm[3 * C + c];
    const double dg = (second - mean * first) * inv_std, c1 = -a * inv_std * dg / M;
    dgamma[c] = float(dg), dbeta[c] = float(first);
    terms[c] = float(a), terms[C + c] = float(c1), terms[2 * C + c] = float(-a * first / M - c1 * mean);
}

// Every thread VEC channels, always the same: the number of threads in all is a multiple of C / VEC.
template <typename T>
__global__ void norm_apply(const T* g, const T* x, const float* terms, const T* added, T* dx, int M, int C) {
    using Num = Number<T>;
    constexpr int VEC = Num::VEC;
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, pieces = C / VEC, c = thread % pieces * VEC;
    float a[VEC], c1[VEC], c0[VEC], vg[VEC], vx[VEC], va[VEC] = {};
#pragma unroll
    for (int i = 0; i < VEC; i++) a[i] = terms[c + i], c1[i] = terms[C + c + i], c0[i] = terms[2 * C + c + i];
#pragma unroll 2
    for (int pixel = thread / pieces; pixel < M; pixel += gridDim.x * blockDim.x / pieces) {
        const size_t at = size_t(pixel) * C + c;
        Num::unpack(vg, *reinterpret_cast<const uint4*>(g + at));
        Num::unpack(vx, *reinterpret_cast<const uint4*>(x + at));
        if (added) Num::unpack(va, *reinterpret_cast<const uint4*>(added + at));
#pragma unroll
        for (int i = 0; i < VEC; i++) vg[i] = fmaf(vg[i], a[i], fmaf(vx[i], c1[i], c0[i])) + va[i];
        *reinterpret_cast<uint4*>(dx + at) = Num::pack(vg);
    }
}
