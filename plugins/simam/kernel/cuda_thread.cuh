// The thread that runs a kernel's body on a GPU. The emulator's twin: plugins/simam/tests.
#pragma once

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "element.h"

namespace simam {

// A CUDA thread in a grid of clusters; without clusters each block is one of its own.
struct CudaThread {
    __device__ int index() const { return static_cast<int>(threadIdx.x); }
    __device__ int blockSize() const { return static_cast<int>(blockDim.x); }
    __device__ void barrier() const { __syncthreads(); }
    __device__ float shuffleXor(float value, int mask) const {
        return __shfl_xor_sync(0xffffffffu, value, mask);
    }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    using Cluster = cooperative_groups::cluster_group;
    __device__ int clusterSize() const { return static_cast<int>(Cluster::num_blocks()); }
    __device__ int clusterRank() const { return static_cast<int>(Cluster::block_rank()); }
    __device__ void clusterArrive() const { Cluster::barrier_arrive(); }
    __device__ void clusterWait() const { Cluster::barrier_wait(); }
    // Says that this block has started, and nothing of memory: no fence.
    __device__ void clusterStart() const {
        asm volatile("barrier.cluster.arrive.relaxed.aligned;");
    }
    template <class Shared>
    __device__ Shared& remote(Shared& shared, int rank) const {
        return *Cluster::map_shared_rank(&shared, rank);
    }
    // The grid's y counts on where x ends: there may be more than 2^31 clusters.
    __device__ int64_t cluster() const {
        uint32_t x, xs;
        asm("mov.u32 %0, %%clusterid.x;" : "=r"(x));
        asm("mov.u32 %0, %%nclusterid.x;" : "=r"(xs));
        return int64_t{blockIdx.y} * xs + x;
    }
#else
    __device__ constexpr int clusterSize() const { return 1; }
    __device__ constexpr int clusterRank() const { return 0; }
    __device__ void clusterStart() const {}
    __device__ void clusterArrive() const {}
    __device__ void clusterWait() const {}
    template <class Shared>
    __device__ Shared& remote(Shared& shared, int) const {
        return shared;
    }
    __device__ int64_t cluster() const { return int64_t{blockIdx.y} * gridDim.x + blockIdx.x; }
#endif

    // Device memory. x and the residual do not change while a kernel runs, which `nc` and the lack
    // of a memory clobber tell the compiler: it may read ahead across stores.
    template <class E>
    __device__ static void read(typename E::Storage const* from, Vector<E>& to) {
        asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
            : "=r"(to.word[0]), "=r"(to.word[1]), "=r"(to.word[2]), "=r"(to.word[3])
            : "l"(from));
    }
    template <class E>
    __device__ static void read(typename E::Storage const* from, Scalar<E>& to) {
        to.value = __ldg(from);
    }
    template <class E>
    __device__ static void write(typename E::Storage* to, Vector<E> const& from) {
        asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"  // A uint4 came out as 4 stores.
                     :
                     : "l"(to), "r"(from.word[0]), "r"(from.word[1]), "r"(from.word[2]),
                       "r"(from.word[3])
                     : "memory");
    }
    template <class E>
    __device__ static void write(typename E::Storage* to, Scalar<E> const& from) {
        *to = from.value;
    }

    // Device memory that neighbours read, too: through L1.
    template <class E>
    __device__ static void fetch(typename E::Storage const* from, Vector<E>& to) {
        uint4 const v = __ldg(reinterpret_cast<uint4 const*>(from));
        to.word[0] = v.x;
        to.word[1] = v.y;
        to.word[2] = v.z;
        to.word[3] = v.w;
    }
    template <class E>
    __device__ static void fetch(typename E::Storage const* from, Scalar<E>& to) {
        to.value = __ldg(from);
    }

    // Shared memory.
    template <class E>
    __device__ static void get(typename E::Storage const* from, Vector<E>& to) {
        uint4 const v = *reinterpret_cast<uint4 const*>(from);
        to.word[0] = v.x;
        to.word[1] = v.y;
        to.word[2] = v.z;
        to.word[3] = v.w;
    }
    template <class E>
    __device__ static void put(typename E::Storage* to, Vector<E> const& from) {
        *reinterpret_cast<uint4*>(to) =
            make_uint4(from.word[0], from.word[1], from.word[2], from.word[3]);
    }

    __device__ static float fma(float a, float b, float c) { return fmaf(a, b, c); }
    __device__ static float rsqrt(float x) { return rsqrtf(x); }
    __device__ static float exp2(float x) {
        float y;
        asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
        return y;
    }
    __device__ static float reciprocal(float x) {
        float y;
        asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
        return y;
    }
    // By a count: an ulp, without the branches of an IEEE division. By 0 it is not a number.
    __device__ static float divide(float a, float count) {
        float const inverse = reciprocal(count);
        float const quotient = a * inverse;
        return fmaf(fmaf(-quotient, count, a), inverse, quotient);
    }
    // NaN comes out as NaN, where fminf and fmaxf would hide it.
    __device__ static float clamp(float x, float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        asm("max.NaN.f32 %0, %0, %1;" : "+f"(x) : "f"(low));
        asm("min.NaN.f32 %0, %0, %1;" : "+f"(x) : "f"(high));
        return x;
#else
        return x < low ? low : (x > high ? high : x);
#endif
    }

    // Rounded as IEEE 754 has it and never drawn into an fma: where a result decides about
    // something, it is the host's to the bit.
    __device__ static float product(float a, float b) { return __fmul_rn(a, b); }
    __device__ static float quotient(float a, float b) { return __fdiv_rn(a, b); }
    __device__ static float squareRoot(float x) { return __fsqrt_rn(x); }
    __device__ static float ceil(float x) { return ceilf(x); }

    __device__ static uint32_t bits(float x) { return __float_as_uint(x); }
    __device__ static int lowestBit(uint64_t word) {  // Of a word that is not 0.
        return __ffsll(static_cast<long long>(word)) - 1;
    }

    __device__ static float toFloat(Float, float value) { return value; }
    __device__ static float toFloat(Half, uint16_t value) {
        return __half2float(__ushort_as_half(value));
    }
    __device__ static float toFloat(BFloat16, uint16_t value) {
        return __uint_as_float(uint32_t{value} << 16);
    }
    __device__ static float fromFloat(Float, float value) { return value; }
    __device__ static uint16_t fromFloat(Half, float value) {
        return __half_as_ushort(__float2half_rn(value));
    }
    __device__ static uint16_t fromFloat(BFloat16, float value) {
        return __bfloat16_as_ushort(__float2bfloat16_rn(value));
    }

    // A word at a time; the element at the lower address is in the lower half.
    __device__ static void toFloats(Float, uint32_t word, float* out) {
        out[0] = __uint_as_float(word);
    }
    __device__ static void toFloats(Half, uint32_t word, float* out) {
        float2 const pair = __half22float2(*reinterpret_cast<__half2 const*>(&word));
        out[0] = pair.x;
        out[1] = pair.y;
    }
    __device__ static void toFloats(BFloat16, uint32_t word, float* out) {
        out[0] = __uint_as_float(word << 16);
        out[1] = __uint_as_float(word & 0xffff0000u);
    }
    __device__ static uint32_t fromFloats(Float, float const* in) {
        return __float_as_uint(in[0]);
    }
    __device__ static uint32_t fromFloats(Half, float const* in) {
        __half2 const pair = __floats2half2_rn(in[0], in[1]);
        return *reinterpret_cast<uint32_t const*>(&pair);
    }
    __device__ static uint32_t fromFloats(BFloat16, float const* in) {
        __nv_bfloat162 const pair = __floats2bfloat162_rn(in[0], in[1]);
        return *reinterpret_cast<uint32_t const*>(&pair);
    }
};

}  // namespace simam
