// NCHW planes beyond a block, where there are no clusters or the plane is beyond one: a first
// kernel leaves each slice's moments in the workspace, a second combines them and reads x again.
#pragma once

#include "plane.h"

namespace simam {

// The chunks, each as large as a block's registers, of the slice that a block works on.
template <class E>
struct PlaneSplit {
    static constexpr int kMaxThreads = kPlaneChunk.threads;
    static constexpr int kMinBlocks = kAsCompiled;
    static constexpr int kChunk = kPlaneChunk.vectors();
    using Registers = PlaneRegisters<E, kPlaneChunk.held>;

    template <class Visit>
    SIMAM_BODY static void forEachChunk(PlaneCut const& cut, int part, int rank, Visit visit) {
        int32_t const first = cut.first(part);
        int32_t const last = cut.first(part + 1);
#pragma unroll 1
        for (int32_t from = first; from < last; from += kChunk) {
            int32_t const to = last - from < kChunk ? last : from + kChunk;
            int32_t const edges = from == first ? cut.edges(part) : 0;
            visit(cut.part(from, to, edges, rank, kMaxThreads));
        }
    }
};

template <class E>
struct PlaneStatistics : PlaneSplit<E> {
    using Split = PlaneSplit<E>;
    struct Shared {
        BlockSums sums;
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        Params const& params = arguments.params;
        int64_t const plane = thread.cluster() / arguments.slices;
        int const part = static_cast<int>(thread.cluster() % arguments.slices);
        if (plane >= params.n * params.c) return;
        PlaneCut const cut(plane, params.hw, arguments.slices, E::kWidth);
        Moments moments{0.f, 0.f, 0.f};
        Split::forEachChunk(cut, part, thread.index(), [&](PlaneSlice const& slice) {
            typename Split::Registers x;
            x.load(thread, static_cast<typename E::Storage const*>(params.x), slice);
            moments = merge<Thread>(moments, blockMoments(thread, shared.sums, x, slice));
        });
        if (thread.index() == 0) {
            arguments.partials[thread.cluster()] = {moments.mean, moments.m2};
        }
    }
};

template <class E>
struct PlaneApply : PlaneSplit<E> {
    using Split = PlaneSplit<E>;
    struct Shared {};

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared&, Arguments const& arguments) {
        Params const& params = arguments.params;
        int64_t const plane = thread.cluster() / arguments.slices;
        int const part = static_cast<int>(thread.cluster() % arguments.slices);
        if (plane >= params.n * params.c) return;
        PlaneCut const cut(plane, params.hw, arguments.slices, E::kWidth);
        Moments const moments =
            combine<Thread>(arguments.partials + plane * arguments.slices, 1, arguments.slices, cut);
        Gate const gate = gateOf<Thread>(moments, params.lambda);
        Channel const channel = channelOf(params, plane);
        Split::forEachChunk(cut, part, thread.index(), [&](PlaneSlice const& slice) {
            typename Split::Registers x;
            x.load(thread, static_cast<typename E::Storage const*>(params.x), slice);
            x.template store<Epilogue::kAny, Thread>(slice, gate, channel, params);
        });
    }
};

}  // namespace simam
