// A CUDA thread on the host: CudaThread's twin over an engine's barriers.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "element.h"
#include "host_convert.h"

namespace simam {

// Where a warp's lanes leave what they exchange. Two places in turn: a lane may write the next
// value while another still reads this one.
struct HostWarp {
    float value[2][32];
};

template <class Engine>
struct HostBlock {
    std::unique_ptr<typename Engine::Barrier> barrier;
    std::vector<std::unique_ptr<typename Engine::Barrier>> warpBarriers;
    std::vector<HostWarp> warps;
    void* shared;

    HostBlock(int threads, void* memory)
        : barrier(std::make_unique<typename Engine::Barrier>(threads)),
          warps(static_cast<size_t>(threads / 32)),
          shared(memory) {
        for (int i = 0; i < threads / 32; ++i) {
            warpBarriers.push_back(std::make_unique<typename Engine::Barrier>(32));
        }
    }
};

template <class Engine>
struct HostCluster {
    int64_t index;
    std::vector<HostBlock<Engine>> blocks;
    std::unique_ptr<typename Engine::Barrier> barrier;
};

// By how many of the errors that CUDA states for ex2.approx (2 ulp) and rcp.approx (1 ulp) the
// host's exact ones are made wrong.
inline float approximationError = 0.f;

// Which of a thread's barriers is taken out, counted from 0; -1 is none. For the proof that a race
// is seen.
inline int barrierTakenOut = -1;
inline bool clusterBarriersTakenOut = false;

template <class Engine>
struct HostThread {
    HostCluster<Engine>* owner;
    int rank;
    int thread;
    mutable int shuffles = 0;
    mutable int barriers = 0;

    int index() const { return thread; }
    int blockSize() const { return 32 * static_cast<int>(block().warps.size()); }
    int64_t cluster() const { return owner->index; }
    int clusterRank() const { return rank; }
    int clusterSize() const { return static_cast<int>(owner->blocks.size()); }
    HostBlock<Engine>& block() const { return owner->blocks[static_cast<size_t>(rank)]; }

    void barrier() const {
        if (barriers++ != barrierTakenOut) block().barrier->wait();
    }
    void clusterStart() const {}
    void clusterArrive() const {}
    void clusterWait() const {
        if (!clusterBarriersTakenOut) owner->barrier->wait();
    }
    template <class Shared>
    Shared& remote(Shared&, int other) const {
        return *static_cast<Shared*>(owner->blocks[static_cast<size_t>(other)].shared);
    }
    float shuffleXor(float value, int mask) const {
        auto const warp = static_cast<size_t>(thread / 32);
        float* const values = block().warps[warp].value[shuffles++ % 2];
        values[thread % 32] = value;
        block().warpBarriers[warp]->wait();
        return values[thread % 32 ^ mask];
    }

    static void checkAligned(void const* address) {
        if (reinterpret_cast<uintptr_t>(address) % 16 == 0) return;
        std::fputs("a vector is not on 16 bytes\n", stderr);
        std::abort();
    }
    template <class E>
    static void read(typename E::Storage const* from, Vector<E>& to) {
        checkAligned(from);
        std::memcpy(to.word, from, 16);
    }
    template <class E>
    static void read(typename E::Storage const* from, Scalar<E>& to) {
        to.value = *from;
    }
    template <class E>
    static void write(typename E::Storage* to, Vector<E> const& from) {
        checkAligned(to);
        std::memcpy(to, from.word, 16);
    }
    template <class E>
    static void write(typename E::Storage* to, Scalar<E> const& from) {
        *to = from.value;
    }
    template <class Unit, class Storage>
    static void fetch(Storage const* from, Unit& to) {
        read(from, to);
    }
    template <class E>
    static void get(typename E::Storage const* from, Vector<E>& to) {
        read(from, to);
    }
    template <class E>
    static void put(typename E::Storage* to, Vector<E> const& from) {
        write(to, from);
    }

    static float fma(float a, float b, float c) { return std::fma(a, b, c); }
    static float rsqrt(float x) { return 1.f / std::sqrt(x); }
    static float exp2(float x) { return std::exp2(x) * (1.f + approximationError * 0x1p-22f); }
    static float reciprocal(float x) { return (1.f + approximationError * 0x1p-23f) / x; }
    static float divide(float a, float count) { return a / count; }
    static float clamp(float x, float low, float high) {
        return x < low ? low : (x > high ? high : x);
    }

    // Compiled without contraction.
    static float product(float a, float b) { return a * b; }
    static float quotient(float a, float b) { return a / b; }
    static float squareRoot(float x) { return std::sqrt(x); }
    static float ceil(float x) { return std::ceil(x); }
    static uint32_t bits(float x) { return bitsOf(x); }
    static int lowestBit(uint64_t word) { return __builtin_ctzll(word); }

    static float toFloat(Float, float value) { return value; }
    static float toFloat(Half, uint16_t value) { return floatOfHalf(value); }
    static float toFloat(BFloat16, uint16_t value) { return floatOfBFloat16(value); }
    static float fromFloat(Float, float value) { return value; }
    static uint16_t fromFloat(Half, float value) { return halfOf(value); }
    static uint16_t fromFloat(BFloat16, float value) { return bfloat16Of(value); }

    static void toFloats(Float, uint32_t word, float* out) { out[0] = floatOf(word); }
    static uint32_t fromFloats(Float, float const* in) { return bitsOf(in[0]); }
    template <class E>
    static void toFloats(E, uint32_t word, float* out) {
        out[0] = toFloat(E{}, static_cast<uint16_t>(word));
        out[1] = toFloat(E{}, static_cast<uint16_t>(word >> 16));
    }
    template <class E>
    static uint32_t fromFloats(E, float const* in) {
        return fromFloat(E{}, in[0]) | uint32_t{fromFloat(E{}, in[1])} << 16;
    }
};

}  // namespace simam
