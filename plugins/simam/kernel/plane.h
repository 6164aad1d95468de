// NCHW: a team of threads, a warp or a block, owns a plane or a slice of one and holds it in
// registers.
//
// A plane rarely begins on 16 bytes (57x57 in half: every 8th does), so a slice is whole vectors
// plus edges: the fewer than kWidth elements before the first vector and after the last, one to a
// thread. Aligned planes have none.
#pragma once

#include "choose.h"
#include "formula.h"

namespace simam {

// What one thread of a team works on. Offsets are in elements from the tensor's beginning.
struct PlaneSlice {
    int64_t origin;  // Of the thread's first vector.
    int32_t step;    // From one of its vectors to the next.
    int32_t held;    // How many.
    bool hasEdge;
    int64_t edge;  // Of the thread's edge element.
    float count;   // Elements of the whole team's slice.
};

// Which vectors of a plane slice i of several holds. The edges are slice 0's.
struct PlaneCut {
    int64_t begin;
    int32_t hw, head, vectors, tail, each, width;

    SIMAM_BODY PlaneCut(int64_t plane, int64_t pixels, int slices, int width_)
        : begin(plane * pixels), hw(static_cast<int32_t>(pixels)), width(width_) {
        int32_t const missing = static_cast<int32_t>(-begin & (width - 1));
        head = missing < hw ? missing : hw;
        vectors = (hw - head) / width;
        tail = (hw - head) % width;
        each = (vectors + slices - 1) / slices;
    }
    SIMAM_BODY int32_t first(int slice) const {
        return slice * each < vectors ? slice * each : vectors;
    }
    SIMAM_BODY int32_t edges(int slice) const { return slice == 0 ? head + tail : 0; }
    SIMAM_BODY float count(int slice) const {
        return static_cast<float>((first(slice + 1) - first(slice)) * width + edges(slice));
    }
    // Of vectors [from, to) and the plane's first `edges` edge elements: the share of thread `rank`
    // of a team.
    SIMAM_BODY PlaneSlice part(int32_t from, int32_t to, int32_t edges, int rank, int team) const {
        int32_t const left = to - from - rank;
        return {begin + head + int64_t{from + rank} * width,
                team * width,
                left > 0 ? (left + team - 1) / team : 0,
                rank < edges,
                begin + (rank < head ? rank : hw - tail + rank - head),
                static_cast<float>((to - from) * width + edges)};
    }
};

// What one thread of a team, of at least 2 * (kWidth - 1) threads, holds of a slice.
template <class E, int kHeld>
struct PlaneRegisters {
    using Storage = typename E::Storage;
    static constexpr int kWidth = E::kWidth;

    Vector<E> held[kHeld];
    float edge;

    template <class Thread>
    SIMAM_BODY void load(Thread const&, Storage const* x, PlaneSlice const& slice) {
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i < slice.held) Thread::read(x + slice.origin + i * slice.step, held[i]);
        }
        edge = slice.hasEdge ? readEdge<Thread>(x, slice) : 0.f;
    }

    template <class Thread>
    SIMAM_BODY static float readEdge(Storage const* x, PlaneSlice const& slice) {
        Scalar<E> scalar;
        Thread::read(x + slice.edge, scalar);
        return Thread::toFloat(E{}, scalar.value);
    }

    template <class Thread>
    SIMAM_BODY float sum(PlaneSlice const& slice) const {
        float total = edge;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i >= slice.held) continue;
            float value[kWidth];
            unpack<Thread>(held[i], value);
            total += sumOf<kWidth>(value);
        }
        return total;
    }

    template <class Thread>
    SIMAM_BODY float squares(PlaneSlice const& slice, float mean) const {
        float const d = edge - mean;
        float total = slice.hasEdge ? d * d : 0.f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i >= slice.held) continue;
            float value[kWidth];
            unpack<Thread>(held[i], value);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) {
                float const step = value[k] - mean;
                total = Thread::fma(step, step, total);
            }
        }
        return total;
    }

    template <Epilogue kEpilogue, class Thread>
    SIMAM_BODY void store(PlaneSlice const& slice, Gate const& gate, Channel const& channel,
                          Params const& params) const {
        auto* y = static_cast<Storage*>(params.y);
        auto const* residual = static_cast<Storage const*>(params.residual);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i >= slice.held) continue;
            float value[kWidth];
            float added[kWidth] = {};
            if (adds<kEpilogue>(params)) {
                Vector<E> other;
                Thread::read(residual + slice.origin + i * slice.step, other);
                unpack<Thread>(other, added);
            }
            unpack<Thread>(held[i], value);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) {
                value[k] = finish<kEpilogue, Thread>(value[k], gate, channel, added[k], params);
            }
            Vector<E> result;
            pack<Thread>(value, result);
            Thread::write(y + slice.origin + i * slice.step, result);
        }
        if (slice.hasEdge) {
            float const added = adds<kEpilogue>(params) ? readEdge<Thread>(residual, slice) : 0.f;
            float const z = finish<kEpilogue, Thread>(edge, gate, channel, added, params);
            Thread::write(y + slice.edge, Scalar<E>{Thread::fromFloat(E{}, z)});
        }
    }
};

// Two sums of a block by warp, in two places: a slow thread may still read the first while a fast
// one writes the second.
struct BlockSums {
    float first[kMaxPlaneThreads / 32];
    float second[kMaxPlaneThreads / 32];
};

template <class Thread>
SIMAM_BODY float warpSum(Thread const& thread, float value) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) value += thread.shuffleXor(value, mask);
    return value;
}

template <class Thread>
SIMAM_BODY float blockSum(Thread const& thread, float* sums, float value) {
    value = warpSum(thread, value);
    int const lane = thread.index() % 32;
    if (lane == 0) sums[thread.index() / 32] = value;
    thread.barrier();
    return warpSum(thread, lane < thread.blockSize() / 32 ? sums[lane] : 0.f);
}

// `sum` adds up a value over the team; its second argument tells the first sum from the second.
template <class Thread, class Registers, class Sum>
SIMAM_BODY Moments momentsOf(Registers const& x, PlaneSlice const& slice, Sum sum) {
    float const total = sum(x.template sum<Thread>(slice), true);
    float const mean = slice.count > 0.f ? Thread::divide(total, slice.count) : 0.f;
    return {slice.count, mean, sum(x.template squares<Thread>(slice, mean), false)};
}

template <class Thread, class Registers>
SIMAM_BODY Moments blockMoments(Thread const& thread, BlockSums& sums, Registers const& x,
                                PlaneSlice const& slice) {
    return momentsOf<Thread>(x, slice, [&](float value, bool first) {
        return blockSum(thread, first ? sums.first : sums.second, value);
    });
}

template <class Thread, class Registers>
SIMAM_BODY void storePlane(Registers const& x, PlaneSlice const& slice, Moments const& moments,
                           Arguments const& arguments, int64_t plane) {
    Gate const gate = gateOf<Thread>(moments, arguments.params.lambda);
    Channel const channel = channelOf(arguments.params, plane);
    withEpilogue(arguments.epilogue, [&](auto epilogue) {
        x.template store<decltype(epilogue)::kValue, Thread>(slice, gate, channel,
                                                             arguments.params);
    });
}

// A plane to a warp: no barrier. One read, one write.
template <class E>
struct PlaneByWarp {
    static constexpr int kMaxThreads = kWarp.threads * kWarpsToBlock;
    static constexpr int kMinBlocks = kAsCompiled;
    struct Shared {};

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared&, Arguments const& arguments) {
        Params const& params = arguments.params;
        int64_t const plane = thread.cluster() * kWarpsToBlock + thread.index() / 32;
        if (plane >= params.n * params.c) return;  // A whole warp.
        PlaneCut const cut(plane, params.hw, 1, E::kWidth);
        PlaneSlice const slice = cut.part(0, cut.vectors, cut.edges(0), thread.index() % 32, 32);
        PlaneRegisters<E, kWarp.held> x;
        x.load(thread, static_cast<typename E::Storage const*>(params.x), slice);
        Moments const moments = momentsOf<Thread>(
            x, slice, [&](float value, bool) { return warpSum(thread, value); });
        storePlane<Thread>(x, slice, moments, arguments, plane);
    }
};

// A plane to a block or to a cluster of them. One read, one write.
template <class E>
struct PlaneByBlock {
    static constexpr int kMaxThreads = kMaxPlaneThreads;
    static constexpr int kMinBlocks = kAsCompiled;
    struct Shared {
        BlockSums sums;
        Partial exchange[kMaxCluster];
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        Params const& params = arguments.params;
        int64_t const plane = thread.cluster();
        if (plane >= params.n * params.c) return;  // A whole cluster.
        int const part = thread.clusterRank();
        if (thread.clusterSize() > 1) thread.clusterStart();
        PlaneCut const cut(plane, params.hw, thread.clusterSize(), E::kWidth);
        PlaneSlice const slice = cut.part(cut.first(part), cut.first(part + 1), cut.edges(part),
                                          thread.index(), thread.blockSize());
        PlaneRegisters<E, kBlockHeld> x;
        x.load(thread, static_cast<typename E::Storage const*>(params.x), slice);
        Moments moments = blockMoments(thread, shared.sums, x, slice);
        if (thread.clusterSize() > 1) moments = exchange(thread, shared, moments, cut);
        storePlane<Thread>(x, slice, moments, arguments, plane);
    }

    // Each block gives its moments to every other through distributed shared memory. Nobody reads
    // another's memory afterwards, so a block may end before the rest.
    template <class Thread>
    SIMAM_BODY static Moments exchange(Thread const& thread, Shared& shared, Moments const& own,
                                       PlaneCut const& cut) {
        thread.clusterWait();  // Every block of the cluster has started: its memory exists.
        if (thread.index() < thread.clusterSize()) {
            Shared& other = thread.remote(shared, thread.index());
            other.exchange[thread.clusterRank()] = {own.mean, own.m2};
        }
        thread.clusterArrive();
        thread.clusterWait();
        return combine<Thread>(shared.exchange, 1, thread.clusterSize(), cut);
    }
};

}  // namespace simam
