// NCHW: a team of threads owns a plane, or a slice of one, and holds it in registers.
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
    int64_t origin;  // Of the thread's first vector; its others are a team's vectors apart.
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
    // Thread `rank`'s share of vectors [from, to) and of the plane's first `edges` edge elements.
    template <int kTeam>
    SIMAM_BODY PlaneSlice part(int32_t from, int32_t to, int32_t edges, int rank) const {
        return {begin + head + int64_t{from + rank} * width,
                (to - from - rank + kTeam - 1) / kTeam,
                rank < edges,
                begin + (rank < head ? rank : hw - tail + rank - head),
                static_cast<float>((to - from) * width + edges)};
    }
};

// What one thread of a team holds of a slice.
template <class E, int kTeamT, int kHeld>
struct PlaneRegisters {
    using Storage = typename E::Storage;
    static constexpr int kTeam = kTeamT;
    static constexpr int kWidth = E::kWidth;
    static constexpr int kStep = kTeam * kWidth;
    static_assert(kTeam >= 2 * (kWidth - 1), "an edge element a thread");

    Vector<E> held[kHeld];
    float edge;

    template <class Thread>
    SIMAM_BODY void load(Thread const&, Storage const* x, PlaneSlice const& slice) {
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i < slice.held) Thread::read(x + slice.origin + i * kStep, held[i]);
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
                Thread::read(residual + slice.origin + i * kStep, other);
                unpack<Thread>(other, added);
            }
            unpack<Thread>(held[i], value);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) {
                value[k] = finish<kEpilogue, Thread>(value[k], gate, channel, added[k], params);
            }
            Vector<E> result;
            pack<Thread>(value, result);
            Thread::write(y + slice.origin + i * kStep, result);
        }
        if (slice.hasEdge) {
            float const added = adds<kEpilogue>(params) ? readEdge<Thread>(residual, slice) : 0.f;
            float const z = finish<kEpilogue, Thread>(edge, gate, channel, added, params);
            Thread::write(y + slice.edge, Scalar<E>{Thread::fromFloat(E{}, z)});
        }
    }
};

// Sums over a team. `sums` holds a float a warp.
template <int kTeam, class Thread>
SIMAM_BODY float teamSum(Thread const& thread, float* sums, float value) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) value += thread.shuffleXor(value, mask);
    if constexpr (kTeam > 32) {
        if (thread.index() % 32 == 0) sums[thread.index() / 32] = value;
        thread.barrier();
        value = sumOf<kTeam / 32>(sums);
    }
    return value;
}

// Two sums in two places: a slow thread may still read the first while a fast one writes on.
template <int kTeam>
struct TeamSums {
    float first[kTeam / 32];
    float second[kTeam / 32];
};

template <class Registers, class Thread>
SIMAM_BODY Moments teamMoments(Thread const& thread, TeamSums<Registers::kTeam>& sums,
                               Registers const& x, PlaneSlice const& slice) {
    constexpr int kTeam = Registers::kTeam;
    float const sum = teamSum<kTeam>(thread, sums.first, x.template sum<Thread>(slice));
    float const mean = slice.count > 0.f ? Thread::divide(sum, slice.count) : 0.f;
    float const squares = x.template squares<Thread>(slice, mean);
    return {slice.count, mean, teamSum<kTeam>(thread, sums.second, squares)};
}

// The kernel: a plane to a warp, a block or a cluster. One read, one write.
template <class E, int kTeam, int kHeld, Epilogue kEpilogue>
struct PlaneBody {
    static constexpr int kThreads = kTeam < kPlaneBlock ? kPlaneBlock : kTeam;
    static constexpr int kTeams = kThreads / kTeam;
    static constexpr bool kClusters = kTeams == 1;
    struct Shared {
        TeamSums<kTeam> sums;
        Partial exchange[kMaxCluster];
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        Params const& params = arguments.params;
        int64_t const plane = thread.cluster() * kTeams + thread.index() / kTeam;
        if (plane >= params.n * params.c) return;  // A whole warp, block or cluster.
        int const slices = kClusters ? thread.clusterSize() : 1;
        int const part = kClusters ? thread.clusterRank() : 0;
        if (slices > 1) thread.clusterStart();
        PlaneCut const cut(plane, params.hw, slices, E::kWidth);
        PlaneSlice const slice = cut.part<kTeam>(cut.first(part), cut.first(part + 1),
                                                 cut.edges(part), thread.index() % kTeam);
        PlaneRegisters<E, kTeam, kHeld> x;
        x.load(thread, static_cast<typename E::Storage const*>(params.x), slice);
        Moments moments = teamMoments(thread, shared.sums, x, slice);
        if (slices > 1) moments = exchange(thread, shared, moments, cut);
        x.template store<kEpilogue, Thread>(slice, gateOf<Thread>(moments, params.lambda),
                                            channelOf<kEpilogue>(params, plane), params);
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
