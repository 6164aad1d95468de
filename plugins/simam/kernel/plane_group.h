// NCHW planes of at most 256 pixels: a block stages a group of them in shared memory.
//
// A plane of 7x7 halves is 98 bytes: read alone, by 2-byte loads. A group's planes lie behind one
// another and begin on 16 bytes (their number is a multiple of 8), so the group travels in
// 16-byte vectors and only the last group of a tensor has a tail.
#pragma once

#include "choose.h"
#include "formula.h"

namespace simam {

// kLanes threads a plane, kHeld of its pixels each; kRounds planes to the same threads, so that
// a block has 6 KB of 7x7 or 14x14 halves in flight.
template <class E, int kLanes, int kHeld, int kRounds, Epilogue kEpilogue>
struct PlaneGroup {
    using Storage = typename E::Storage;
    static constexpr int kThreads = GroupShape::kThreads;
    static constexpr int kPerRound = kThreads / kLanes;
    static constexpr int kPlanes = kPerRound * kRounds;
    static constexpr int kLargest = kLanes * kHeld;  // Pixels in a plane.
    static_assert(kPlanes % E::kWidth == 0, "a group begins on 16 bytes");

    static constexpr int kStages = kEpilogue == Epilogue::kResidual ? 2 : 1;
    struct Shared {
        alignas(16) Storage staged[kStages][kPlanes * kLargest];  // x, then z; residual.
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        Params const& params = arguments.params;
        int64_t const first = thread.cluster() * kPlanes;
        int64_t const left = params.n * params.c - first;
        if (left <= 0) return;
        int const planes = left < kPlanes ? static_cast<int>(left) : kPlanes;
        int const hw = static_cast<int>(params.hw);
        int64_t const begin = first * hw;
        stage(thread, static_cast<Storage const*>(params.x) + begin, shared.staged[0], planes * hw);
        if constexpr (kEpilogue == Epilogue::kResidual) {
            stage(thread, static_cast<Storage const*>(params.residual) + begin, shared.staged[1],
                  planes * hw);
        }
        thread.barrier();
#pragma unroll 1
        for (int round = 0; round < kRounds; ++round) {
            int const member = round * kPerRound + thread.index() / kLanes;
            compute(thread, shared, params, first + member, member, member < planes ? hw : 0);
        }
        thread.barrier();
        unstage(thread, shared.staged[0], static_cast<Storage*>(params.y) + begin, planes * hw);
    }

    template <class Thread>
    SIMAM_BODY static void stage(Thread const& thread, Storage const* from, Storage* to,
                                 int elements) {
#pragma unroll 2
        for (int i = thread.index(); i < elements / E::kWidth; i += kThreads) {
            Vector<E> vector;
            Thread::read(from + i * E::kWidth, vector);
            Thread::put(to + i * E::kWidth, vector);
        }
        int const tail = elements / E::kWidth * E::kWidth + thread.index();
        if (tail < elements) to[tail] = from[tail];
    }

    template <class Thread>
    SIMAM_BODY static void unstage(Thread const& thread, Storage const* from, Storage* to,
                                   int elements) {
#pragma unroll 2
        for (int i = thread.index(); i < elements / E::kWidth; i += kThreads) {
            Vector<E> vector;
            Thread::get(from + i * E::kWidth, vector);
            Thread::write(to + i * E::kWidth, vector);
        }
        int const tail = elements / E::kWidth * E::kWidth + thread.index();
        if (tail < elements) to[tail] = from[tail];
    }

    // One plane by kLanes lanes. Those of a plane that the tensor lacks (hw 0) only take part in
    // the warp's shuffles.
    template <class Thread>
    SIMAM_BODY static void compute(Thread const& thread, Shared& shared, Params const& params,
                                   int64_t plane, int member, int hw) {
        int const lane = thread.index() % kLanes;
        Storage* const staged = shared.staged[0] + member * hw;
        float x[kHeld];
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            int const at = lane + i * kLanes;
            x[i] = at < hw ? Thread::toFloat(E{}, staged[at]) : 0.f;
        }
        Moments const moments = momentsOf(thread, x, lane, hw);
        Gate const gate = gateOf<Thread>(moments, params.lambda);
        Channel const channel = channelOf<kEpilogue>(params, plane);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            int const at = lane + i * kLanes;
            if (at >= hw) continue;
            float added = 0.f;
            if constexpr (kEpilogue == Epilogue::kResidual) {
                added = Thread::toFloat(E{}, shared.staged[1][member * hw + at]);
            }
            float const z = finish<kEpilogue, Thread>(x[i], gate, channel, added, params);
            staged[at] = Thread::fromFloat(E{}, z);
        }
    }

    template <class Thread>
    SIMAM_BODY static Moments momentsOf(Thread const& thread, float const (&x)[kHeld], int lane,
                                        int hw) {
        float const count = static_cast<float>(hw);
        float const mean = Thread::divide(lanesSum(thread, sumOf<kHeld>(x)), count);
        float squares = 0.f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            float const step = lane + i * kLanes < hw ? x[i] - mean : 0.f;
            squares = Thread::fma(step, step, squares);
        }
        return {count, mean, lanesSum(thread, squares)};
    }

    template <class Thread>
    SIMAM_BODY static float lanesSum(Thread const& thread, float value) {
#pragma unroll
        for (int mask = kLanes / 2; mask > 0; mask /= 2) value += thread.shuffleXor(value, mask);
        return value;
    }
};

}  // namespace simam
