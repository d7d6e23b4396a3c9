// What happens to the parameters; all are behind one another in one buffer: theta (P,), and so are velocity and gradient.
//
//   cast         w = theta in the number type of the convolutions, padded where x is     for a theta that comes from outside
//   add_slots    gradient = (slot 0 + slot 1 + ...) / S, in this order;  bad[block] = how many of the numbers are not finite
//   sgd          v <- momentum v - lr (g + decay theta);  theta <- theta + v             core/optim.py: sgd_step
//                w = theta, as cast
//   advance      running <- (1 - rate) running + rate moments                            core/optim.py: update_running
//                step += 1,  not_finite += sum of bad
//
// table (blocks, 6) int32: one row for each block of 256 threads, for up to 512 parameters that lie together everywhere:
//
//      theta  |...[ begin, count ]...|      w |..[ begin ]..|  or -1      slots |..[ begin ]..|..[ begin + stride ]..| ...
//
// S: the loss scale. The gradients of activations are stored in 16 bits; multiplied by S from the logits on, they keep clear of the
// smallest numbers there. It is divided away here, in float32. A number that did not fit has become infinite, and is counted.
#include "device.cuh"

struct Run { int begin, count, w, slots, number, stride; };

template <typename T>
__global__ void cast(const Run* table, const float* theta, T* w) {
    const Run run = table[blockIdx.x];
    if (run.w < 0) return;
    for (int e = threadIdx.x; e < run.count; e += blockDim.x) w[run.w + e] = Number<T>::operand(theta[run.begin + e]);
}

// In thread 0 the sum of what all threads of the block have counted.
__device__ __forceinline__ int total(int count) {
    DYNAMIC_SHARED(memory);                                                            // blockDim.x integers
    int* const counts = reinterpret_cast<int*>(memory);
    counts[threadIdx.x] = count;
    __syncthreads();
    for (int t = 1; threadIdx.x == 0 && t < int(blockDim.x); t++) count += counts[t];
    return count;
}

__global__ void add_slots(const Run* table, const float* slots, float* gradient, int* bad, float inverse_scale) {
    const Run run = table[blockIdx.x];
    int count = 0;
    for (int e = threadIdx.x; e < run.count; e += blockDim.x) {
        const float* const first = slots + run.slots + e;
        float sum = 0;
#pragma unroll 16
        for (int s = 0; s < run.number; s++) sum += first[size_t(s) * run.stride];
        sum *= inverse_scale;
        gradient[run.begin + e] = sum;
        count += !(fabsf(sum) <= 3.4028234e38f);
    }
    count = total(count);
    if (threadIdx.x == 0) bad[blockIdx.x] = count;
}

template <typename T>
__global__ void sgd(const Run* table, float* theta, float* velocity, const float* gradient, T* w, const float* settings,
                    float momentum, float decay) {
    const Run run = table[blockIdx.x];
    const float lr = settings[0];
    for (int e = threadIdx.x; e < run.count; e += blockDim.x) {
        const int at = run.begin + e;
        const float v = momentum * velocity[at] - lr * (gradient[at] + decay * theta[at]), moved = theta[at] + v;
        velocity[at] = v;
        theta[at] = moved;
        if (run.w >= 0) w[run.w + e] = Number<T>::operand(moved);
    }
}

// A thread for each running statistic; the first block counts besides.
__global__ void advance(float* running, const float* moments, float rate, int size, int* state, const int* bad, int blocks,
                        int* not_finite) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e < size) running[e] = (1 - rate) * running[e] + rate * moments[e];
    if (blockIdx.x) return;
    int count = 0;
#pragma unroll 8
    for (int b = threadIdx.x; b < blocks; b += blockDim.x) count += bad[b];
    count = total(count);
    if (threadIdx.x) return;
    *not_finite = min(*not_finite + count, 1 << 30);        // no count so large that it turns negative
    state[0] += 1;
}
