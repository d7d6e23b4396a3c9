// What the kernels share: the two kinds of numbers, and the instructions of the tensor cores behind plain functions.
//
//   half    16 bits stored, 10-bit mantissa;  mma contracts 16 at a time       float   32 bits stored, rounded to TF32 (10-bit
//   VEC     numbers in 16 bytes: 8 or 4                                                mantissa, too) as operands;  mma: 8
//   KSTEP   contracted indices of one mma: 2 VEC
//
// Fragments, as mma.sync.m16n8k16 (half) and .m16n8k8 (TF32) want them; lane = 4 g + t of a warp:
//
//           k ->                          n ->                        n ->
//      m  +-------+-------+          k  +-------+                m  +-------+      lane 4g+t holds of d: row g, columns 2t, 2t+1;
//      |  | a[0]  | a[2]  |          |  |  b0   |                |  | d0 d1 |      then row g + 8. All sums are float.
//      v  +-------+-------+          v  +-------+                v  +-------+
//         | a[1]  | a[3]  |             |  b1   |                   | d2 d3 |
//         +-------+-------+             +-------+                   +-------+
//      m 16, k KSTEP                    n 8                         m 16, n 8
//
// An operand lies in shared memory with k running along the rows ("along", fetched by ldmatrix: 16 bytes are VEC numbers of one
// row) or down the rows ("down": ldmatrix.trans for halves, ordinary loads for floats, for which there is no such instruction).
// No header is needed, so that NVRTC compiles this wherever it is installed.
#pragma once

struct half { unsigned short bits; };

#ifndef __CUDACC__
#include "cuda_shim.h"           // the tests run the kernels as C++
#else

#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

__device__ __forceinline__ float half_to_float(unsigned short h) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}

__device__ __forceinline__ unsigned pack_halves(float low, float high) {
    unsigned both;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

__device__ __forceinline__ unsigned pack_positive_halves(float low, float high) {            // of max(., 0); NaN stays NaN
    unsigned both;
    asm("cvt.rn.relu.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
    return both;
}

__device__ __forceinline__ float positive(float x) {                             // max(x, 0); unlike fmaxf it leaves NaN NaN
    float y;
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float to_tf32(float x) {
    unsigned rounded;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
    return __uint_as_float(rounded);
}

__device__ __forceinline__ unsigned shared_address(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }

__device__ __forceinline__ void ldmatrix(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

__device__ __forceinline__ void ldmatrix_transposed(unsigned (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

__device__ __forceinline__ void mma_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void cp_async(void* to, const void* from) {           // 16 bytes from global to shared memory
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"(shared_address(to)), "l"(from) : "memory");
}

__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

__device__ __forceinline__ uint4 load_global(const void* p) {    // for a p of which the compiler does not know where it points
    uint4 v;
    asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(__cvta_generic_to_global(p)));
    return v;
}

__device__ __forceinline__ int afresh(int x) {   // x; what is made of it is computed anew, and not kept in registers
    asm volatile("" : "+r"(x));
    return x;
}

template <int PENDING>
__device__ __forceinline__ void cp_async_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(PENDING) : "memory"); }

// A cluster, from compute capability 9.0 on: neighbouring blocks that run at the same time and read each other's shared memory.
// All its threads arrive; a wait ends when they have, and sees what was written before.
__device__ __forceinline__ void in_clusters_of(int) {}                            // said already, by an attribute of the kernel

__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }

__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }

__device__ __forceinline__ double cluster_load(const double* p, int rank) {      // what p is in the block of this rank
    unsigned address;
    double x;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(shared_address(p)), "r"(rank));
    asm volatile("ld.shared::cluster.f64 %0, [%1];" : "=d"(x) : "r"(address) : "memory");
    return x;
}

#endif

// ---- numbers -----------------------------------------------------------------------------------------------------------------

union Word { unsigned u; float f; };

template <typename T> struct Number;

// The array in pieces of 16 bytes.
template <typename T> __device__ __forceinline__ uint4* pieces(T* p) { return reinterpret_cast<uint4*>(p); }
template <typename T> __device__ __forceinline__ const uint4* pieces(const T* p) { return reinterpret_cast<const uint4*>(p); }

template <> struct Number<half> {
    static constexpr int VEC = 8, KSTEP = 16;

    static __device__ __forceinline__ float get(half x) { return half_to_float(x.bits); }
    static __device__ __forceinline__ half put(float x) { return {static_cast<unsigned short>(pack_halves(x, 0.f))}; }
    static __device__ __forceinline__ half operand(float x) { return put(x); }

    static __device__ __forceinline__ void unpack(float (&x)[8], uint4 v) {
        const unsigned words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x[2 * i] = half_to_float(static_cast<unsigned short>(words[i]));
            x[2 * i + 1] = half_to_float(static_cast<unsigned short>(words[i] >> 16));
        }
    }
    static __device__ __forceinline__ uint4 pack(const float (&x)[8]) {
        return {pack_halves(x[0], x[1]), pack_halves(x[2], x[3]), pack_halves(x[4], x[5]), pack_halves(x[6], x[7])};
    }
    static __device__ __forceinline__ uint4 pack_operand(const float (&x)[8]) { return pack(x); }
    static __device__ __forceinline__ uint4 pack_positive(const float (&x)[8]) {
        return {pack_positive_halves(x[0], x[1]), pack_positive_halves(x[2], x[3]),
                pack_positive_halves(x[4], x[5]), pack_positive_halves(x[6], x[7])};
    }
    static __device__ __forceinline__ uint4 operands(uint4 v) { return v; }

    static __device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
        mma_f16(d, a, b0, b1);
    }
    // a (16, KSTEP) at column m of the rows row(k), k down;  b: two neighbours (KSTEP, 8) at column n, as b0, b1, b0, b1
    template <typename Row>
    static __device__ __forceinline__ void a_down(unsigned (&a)[4], Row row, int m, int lane) {
        ldmatrix_transposed(a, row(lane % 8 + lane / 16 * 8) + m + lane / 8 % 2 * 8);
    }
    template <typename Row>
    static __device__ __forceinline__ void b_down(unsigned (&b)[4], Row row, int n, int lane) {
        ldmatrix_transposed(b, row(lane % 16) + n + lane / 16 * 8);
    }
};

template <> struct Number<float> {
    static constexpr int VEC = 4, KSTEP = 8;

    static __device__ __forceinline__ float get(float x) { return x; }
    static __device__ __forceinline__ float put(float x) { return x; }
    static __device__ __forceinline__ float operand(float x) { return to_tf32(x); }

    static __device__ __forceinline__ void unpack(float (&x)[4], uint4 v) {
        const Word words[4] = {{v.x}, {v.y}, {v.z}, {v.w}};
#pragma unroll
        for (int i = 0; i < 4; i++) x[i] = words[i].f;
    }
    static __device__ __forceinline__ uint4 pack(const float (&x)[4]) {
        Word words[4];
#pragma unroll
        for (int i = 0; i < 4; i++) words[i].f = x[i];
        return {words[0].u, words[1].u, words[2].u, words[3].u};
    }
    static __device__ __forceinline__ uint4 pack_operand(const float (&x)[4]) {
        return pack({to_tf32(x[0]), to_tf32(x[1]), to_tf32(x[2]), to_tf32(x[3])});
    }
    static __device__ __forceinline__ uint4 pack_positive(const float (&x)[4]) {
        return pack_operand({positive(x[0]), positive(x[1]), positive(x[2]), positive(x[3])});
    }
    static __device__ __forceinline__ uint4 operands(uint4 v) {
        float x[4];
        unpack(x, v);
        return pack_operand(x);
    }

    static __device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
        mma_tf32(d, a, b0, b1);
    }
    static __device__ __forceinline__ unsigned word(const float* x) { return *reinterpret_cast<const unsigned*>(x); }
    template <typename Row>
    static __device__ __forceinline__ void a_down(unsigned (&a)[4], Row row, int m, int lane) {
        const float *first = row(lane % 4) + m + lane / 4, *second = row(lane % 4 + 4) + m + lane / 4;
        a[0] = word(first), a[1] = word(first + 8), a[2] = word(second), a[3] = word(second + 8);
    }
    template <typename Row>
    static __device__ __forceinline__ void b_down(unsigned (&b)[4], Row row, int n, int lane) {
        const float *first = row(lane % 4) + n + lane / 4, *second = row(lane % 4 + 4) + n + lane / 4;
        b[0] = word(first), b[1] = word(second), b[2] = word(first + 8), b[3] = word(second + 8);
    }
};

// a (16, KSTEP) and two neighbouring b (KSTEP, 8), k along; row: row m (or n) of k = 0, for a_row(lane) and b_row(lane)
__device__ __forceinline__ int a_row(int lane) { return lane % 16; }
__device__ __forceinline__ int b_row(int lane) { return lane % 8 + lane / 16 * 8; }

template <typename T>
__device__ __forceinline__ void a_along(unsigned (&a)[4], const T* row, int lane) {
    ldmatrix(a, row + lane / 16 * Number<T>::VEC);
}
template <typename T>
__device__ __forceinline__ void b_along(unsigned (&b)[4], const T* row, int lane) {
    ldmatrix(b, row + lane / 8 % 2 * Number<T>::VEC);
}

// The sum over the lanes of a warp, in each of them; always in the same order.
__device__ __forceinline__ float warp_sum(float x) {
    for (int distance = 16; distance; distance /= 2) x += __shfl_xor_sync(0xFFFFFFFF, x, distance);
    return x;
}
