// What happens to the parameters; all are behind one another in one buffer: theta (P,), and so are velocity and gradient.
//
//   cast         w = theta in the number type of the convolutions, padded where x is     for a theta that comes from outside
//   add_slots    gradient = (slot 0 + slot 1 + ...) / S;  fate[BAD] += how many of the numbers are not finite
//   sgd          v <- momentum v - lr (g + decay theta);  theta <- theta + v             core/optim.py: sgd_step
//                w = theta, as cast                                                      nothing of it where fate[BAD] > 0
//   advance      running <- (1 - rate) running + rate moments                            core/optim.py: update_running
//                step += 1;  S halved after a step with BAD > 0, doubled after PATIENCE steps without, up to `start`
//
// table (blocks, 6) int32: one row for each block of 256 threads, for up to 512 parameters that lie together everywhere:
//
//      theta  |...[ begin, count ]...|      w |..[ begin ]..|  or -1      slots |..[ begin ]..|..[ begin + stride ]..| ...
//
// add_slots, where a block has fewer parameters than threads: column p has the slots p, p + parts, ...; then parts are added in order
//
//      thread = parameter + count * part         part 0: slots 0, 3, 6, ...   part 1: slots 1, 4, 7, ...   part 2: ...
//
// S: the loss scale, a power of two. The gradients of activations are stored in 16 bits; multiplied by S from the logits on, they keep
// clear of the smallest numbers there. It is divided away here, in float32. A number that did not fit has become infinite, and the
// step is left out. Rates and patience of the scale: those of torch.amp.GradScaler, after Micikevicius et al., Mixed Precision
// Training (ICLR 2018). All is decided here, since the host repeats steps without looking at them.
#include "device.cuh"

constexpr int PATIENCE = 2000;
enum Fate { BAD, SKIPPED, GOOD, IN_A_ROW, MOST };    // numbers not finite in this step; steps left out in this epoch; steps since S
                                                     // changed; left out in a row until now, and the most of these
struct Run { int begin, count, w, slots, number, stride; };

template <typename T>
__global__ void cast(const Run* table, const float* theta, T* w) {
    const Run run = table[blockIdx.x];
    if (run.w < 0) return;
    for (int e = threadIdx.x; e < run.count; e += blockDim.x) w[run.w + e] = Number<T>::operand(theta[run.begin + e]);
}

__device__ __forceinline__ void put(float* gradient, float value, int* fate) {
    *gradient = value;
    if (!(fabsf(value) <= 3.4028234e38f)) atomicAdd(fate + BAD, 1);                    // integers: in any order the same
}

__global__ void add_slots(const Run* table, const float* slots, float* gradient, const float* S, int* fate) {
    DYNAMIC_SHARED(memory);                                                            // blockDim.x floats
    float* const partial = reinterpret_cast<float*>(memory);
    const Run run = table[blockIdx.x];
    const int threads = blockDim.x, parts = run.count < threads ? threads / run.count : 1, part = threadIdx.x / run.count;
    const float inverse = 1 / *S;
    for (int e = parts > 1 ? threadIdx.x % run.count : threadIdx.x; e < run.count; e += threads) {
        const float* const first = slots + run.slots + e;
        float sum = 0;
#pragma unroll 16
        for (int s = parts > 1 ? part : 0; s < run.number; s += parts) sum += first[size_t(s) * run.stride];
        if (parts > 1) {
            partial[threadIdx.x] = sum;
        } else {
            put(gradient + run.begin + e, sum * inverse, fate);
        }
    }
    if (parts == 1) return;
    __syncthreads();
    if (part) return;
    float sum = 0;
    for (int p = 0; p < parts; p++) sum += partial[p * run.count + threadIdx.x];
    put(gradient + run.begin + threadIdx.x, sum * inverse, fate);
}

template <typename T>
__global__ void sgd(const Run* table, float* theta, float* velocity, const float* gradient, T* w, const float* settings,
                    const int* fate, float momentum, float decay) {
    if (fate[BAD]) return;
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

// A thread for each running statistic; the first one counts besides.
__global__ void advance(float* running, const float* moments, float rate, int size, int* state, float* S, float start, int* fate) {
    const int e = blockIdx.x * blockDim.x + threadIdx.x;
    if (e < size) running[e] = (1 - rate) * running[e] + rate * moments[e];
    if (e) return;
    state[0] += 1;
    if (fate[BAD]) {
        *S /= 2;
        fate[SKIPPED] += 1, fate[GOOD] = 0, fate[IN_A_ROW] += 1;
        fate[MOST] = max(fate[MOST], fate[IN_A_ROW]);
    } else {
        fate[IN_A_ROW] = 0, fate[GOOD] += 1;
        if (fate[GOOD] == PATIENCE) *S = min(*S * 2, start), fate[GOOD] = 0;
    }
    fate[BAD] = 0;
}
