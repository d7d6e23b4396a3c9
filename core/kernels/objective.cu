// The objective of the paper, its gradient, and the recording of the predictions, for one batch in one block.
//
//   L = L_c + alpha L_p + beta L_e,  dz = S dL/dz                              core/objective.py, whose letters these are
//   ring[i] = s,  first the samples of the running pass, then the others       core/labels.py: SoftLabels.record
//   sums += L, L_c, L_p, L_e, accuracy
//
// z (N, C) logits; Y (images, C) labels; p (C,) prior; settings: lr, alpha, beta; state: step, steps of the epoch, how many samples
// of the last batch are of the running pass, ...; order: the samples of all batches; S (1,): the loss scale.
//
//   1  a thread for each sample (THREADS apart)     log s                              |
//   2  a warp for each class (WARPS apart)          log s_bar, L_p                     |  between them a barrier of the block
//   3  a thread for each sample                     dz, s recorded, L_c, L_e, accuracy |
//   4  the first warp                               the sums of the threads' shares, in their order
//
// All in logarithms, as there: finite for any finite logits.  0 log 0 = 0.
#include "device.cuh"

constexpr int THREADS = 256, WARPS = THREADS / 32;

__device__ __forceinline__ float xlogx(float x) { return x > 0.f ? x * logf(x) : 0.f; }

__device__ __forceinline__ float warp_max(float x) {
    for (int distance = 16; distance; distance /= 2) {
        const float other = __shfl_xor_sync(0xFFFFFFFF, x, distance);
        x = other > x ? other : x;
    }
    return x;
}

__global__ void __launch_bounds__(THREADS)
objective(const float* z, const float* Y, const float* p, const float* settings, const int* state, const int* order,
          const float* S, float* log_s, float* dz, float* ring, float* sums, int N, int C) {
    DYNAMIC_SHARED(memory);                        // (C,) log s_bar, (C,) terms of L_p, (THREADS, 3) shares of L_c, L_e, accuracy
    float* const log_s_bar = reinterpret_cast<float*>(memory);
    float* const prior_terms = log_s_bar + C;
    float* const shares = prior_terms + C;
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int step = state[0], running = step + 1 == state[1] ? state[2] : N;          // samples of the running pass
    const float alpha = settings[1], beta = settings[2], scale = *S / N;

    for (int i = thread; i < N; i += THREADS) {
        const float* const row = z + size_t(i) * C;
        float top = row[0], sum = 0;
        for (int j = 1; j < C; j++) top = row[j] > top ? row[j] : top;
        for (int j = 0; j < C; j++) sum += expf(row[j] - top);
        for (int j = 0; j < C; j++) log_s[size_t(i) * C + j] = row[j] - top - logf(sum);
    }
    __syncthreads();

    for (int j = warp; j < C; j += WARPS) {
        float top = -3.4e38f, sum = 0;
        for (int i = lane; i < N; i += 32) top = log_s[size_t(i) * C + j] > top ? log_s[size_t(i) * C + j] : top;
        top = warp_max(top);
        for (int i = lane; i < N; i += 32) sum += expf(log_s[size_t(i) * C + j] - top);
        sum = warp_sum(sum);
        const float value = top + logf(sum) - logf(float(N));
        if (lane == 0) log_s_bar[j] = value, prior_terms[j] = xlogx(p[j]) - p[j] * value;
    }
    __syncthreads();

    float L_c = 0, L_e = 0, correct = 0;
    for (int pass = 0; pass < 2; pass++) {                                             // a sample may be in both: the later counts
        for (int i = thread; i < N; i += THREADS) {
            if ((i < running) != (pass == 0)) continue;
            const float *const row = log_s + size_t(i) * C, *const y = Y + size_t(order[size_t(step) * N + i]) * C;
            float* const record = ring + size_t(order[size_t(step) * N + i]) * C;
            float sum_r = 0, entropy = 0;
            int best_s = 0, best_y = 0;
            for (int j = 0; j < C; j++) {
                const float s = expf(row[j]);
                sum_r += p[j] * expf(row[j] - log_s_bar[j]), entropy += s * row[j];
                L_c += xlogx(y[j]) - y[j] * row[j];
                best_s = z[size_t(i) * C + j] > z[size_t(i) * C + best_s] ? j : best_s, best_y = y[j] > y[best_y] ? j : best_y;
                record[j] = s;
            }
            for (int j = 0; j < C; j++) {
                const float s = expf(row[j]), r = p[j] * expf(row[j] - log_s_bar[j]);
                dz[size_t(i) * C + j] = scale * (s - y[j] - alpha * (r - s * sum_r) - beta * (s * row[j] - s * entropy));
            }
            L_e -= entropy, correct += best_s == best_y;
        }
        __syncthreads();
    }
    shares[3 * thread] = L_c, shares[3 * thread + 1] = L_e, shares[3 * thread + 2] = correct;
    __syncthreads();
    if (thread) return;

    L_c = L_e = correct = 0;
    float L_p = 0;
    for (int t = 0; t < THREADS; t++) L_c += shares[3 * t], L_e += shares[3 * t + 1], correct += shares[3 * t + 2];
    for (int j = 0; j < C; j++) L_p += prior_terms[j];
    L_c /= N, L_e /= N;
    sums[0] += L_c + alpha * L_p + beta * L_e, sums[1] += L_c, sums[2] += L_p, sums[3] += L_e, sums[4] += correct / N;
}
