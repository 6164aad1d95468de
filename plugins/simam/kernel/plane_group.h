// NCHW planes of at most 256 pixels: a block stages a group of them in shared memory.
//
// A plane of 7x7 halves is 98 bytes: read alone, by 2-byte loads. A group's planes lie behind one
// another and begin on 16 bytes (their number is a multiple of 8), so the group travels in
// 16-byte vectors and only the last group of a tensor has a tail.
#pragma once

#include "choose.h"
#include "formula.h"

namespace simam {

template <class E>
struct PlaneGroup {
    using Storage = typename E::Storage;
    static constexpr int kMaxThreads = kGroupThreads;
    static constexpr int kMinBlocks = 5;  // Left alone, the compiler takes registers for 4 blocks: 25 KB in flight.
    static constexpr int kHeld = kGroupHeld;

    struct Shared {
        alignas(16) Storage staged[kGroupThreads * kGroupHeld * kGroupRounds];  // x, then z.
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        Params const& params = arguments.params;
        int const lanes = groupLanes(params.hw);
        int const most = groupPlanes(params.hw);
        int64_t const first = thread.cluster() * most;
        int64_t const left = params.n * params.c - first;
        if (left <= 0) return;
        int const planes = left < most ? static_cast<int>(left) : most;
        int const hw = static_cast<int>(params.hw);
        int64_t const begin = first * hw;
        copyIn(thread, static_cast<Storage const*>(params.x) + begin, shared.staged, planes * hw);
        thread.barrier();
#pragma unroll 1
        for (int round = 0; round < kGroupRounds; ++round) {
            int const member = (round * kGroupThreads + thread.index()) / lanes;
            Plane const plane{first + member, member < planes ? hw : 0, thread.index() % lanes,
                              lanes};
            compute(thread, shared.staged + member * hw, plane, arguments);
        }
        thread.barrier();
        copyOut(thread, shared.staged, static_cast<Storage*>(params.y) + begin, planes * hw);
    }

    template <class Thread>
    SIMAM_BODY static void copyIn(Thread const& thread, Storage const* from, Storage* to,
                                 int elements) {
#pragma unroll 2
        for (int i = thread.index(); i < elements / E::kWidth; i += kGroupThreads) {
            Vector<E> vector;
            Thread::read(from + i * E::kWidth, vector);
            Thread::put(to + i * E::kWidth, vector);
        }
        int const tail = elements / E::kWidth * E::kWidth + thread.index();
        if (tail < elements) to[tail] = from[tail];
    }

    template <class Thread>
    SIMAM_BODY static void copyOut(Thread const& thread, Storage const* from, Storage* to,
                                   int elements) {
#pragma unroll 2
        for (int i = thread.index(); i < elements / E::kWidth; i += kGroupThreads) {
            Vector<E> vector;
            Thread::get(from + i * E::kWidth, vector);
            Thread::write(to + i * E::kWidth, vector);
        }
        int const tail = elements / E::kWidth * E::kWidth + thread.index();
        if (tail < elements) to[tail] = from[tail];
    }

    // What a lane works on. Lanes of a plane that the tensor lacks (hw 0) only take part in the
    // warp's shuffles.
    struct Plane {
        int64_t index;
        int hw;
        int lane;
        int lanes;
    };

    template <class Thread>
    SIMAM_BODY static void compute(Thread const& thread, Storage* staged, Plane const& plane,
                                   Arguments const& arguments) {
        float x[kHeld];
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            int const at = plane.lane + i * plane.lanes;
            x[i] = at < plane.hw ? Thread::toFloat(E{}, staged[at]) : 0.f;
        }
        Gate const gate = gateOf<Thread>(momentsOf(thread, x, plane), arguments.params.lambda);
        withEpilogue(arguments.epilogue, [&](auto epilogue) {
            store<decltype(epilogue)::kValue, Thread>(x, gate, staged, plane, arguments.params);
        });
    }

    // The residual is read a pixel a lane: its plane begins where the plane of x does, and behind
    // the first read of a cache line the others hit.
    template <Epilogue kEpilogue, class Thread>
    SIMAM_BODY static void store(float const (&x)[kHeld], Gate const& gate, Storage* staged,
                                 Plane const& plane, Params const& params) {
        auto const* residual = static_cast<Storage const*>(params.residual);
        Channel const channel = channelOf(params, plane.index);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            int const at = plane.lane + i * plane.lanes;
            if (at >= plane.hw) continue;
            float added = 0.f;
            if constexpr (kEpilogue == Epilogue::kResidual) {
                Scalar<E> scalar;
                Thread::read(residual + plane.index * params.hw + at, scalar);
                added = Thread::toFloat(E{}, scalar.value);
            }
            float const z = finish<kEpilogue, Thread>(x[i], gate, channel, added, params);
            staged[at] = Thread::fromFloat(E{}, z);
        }
    }

    template <class Thread>
    SIMAM_BODY static Moments momentsOf(Thread const& thread, float const (&x)[kHeld],
                                        Plane const& plane) {
        float const count = static_cast<float>(plane.hw);
        float const mean = Thread::divide(lanesSum(thread, sumOf<kHeld>(x), plane.lanes), count);
        float squares = 0.f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            float const step = plane.lane + i * plane.lanes < plane.hw ? x[i] - mean : 0.f;
            squares = Thread::fma(step, step, squares);
        }
        return {count, mean, lanesSum(thread, squares, plane.lanes)};
    }

    template <class Thread>
    SIMAM_BODY static float lanesSum(Thread const& thread, float value, int lanes) {
#pragma unroll 1
        for (int mask = lanes / 2; mask > 0; mask /= 2) value += thread.shuffleXor(value, mask);
        return value;
    }
};

}  // namespace simam
