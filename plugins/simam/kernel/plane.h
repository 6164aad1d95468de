// NCHW: a team of threads owns a plane, or a slice of one, and holds it in registers.
//
// A plane rarely begins on 16 bytes (57x57 in half: every 8th does), so a slice is whole vectors
// plus edges: the fewer than kWidth elements before the first vector and after the last, one to a
// thread. Aligned planes have none.
#pragma once

#include "choose.h"
#include "formula.h"

namespace simam {

// Offsets are in elements from the tensor's beginning.
struct PlaneSlice {
    int64_t vectors;  // Where the slice's first vector lies.
    int32_t count;    // Vectors in the slice.
    int64_t plane;    // Where the plane begins.
    int32_t head;     // Elements of the plane before its first vector: slice 0 has them.
    int32_t tail;     // Elements after its last.
    int32_t hw;

    SIMAM_BODY float elements(int width) const {
        return static_cast<float>(count * width + head + tail);
    }
};

// Which vectors of a plane slice `slice` of `slices` holds; count(i) elements are in slice i.
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
    SIMAM_BODY int32_t last(int slice) const { return first(slice + 1); }
    SIMAM_BODY float count(int slice) const {
        int32_t const edges = slice == 0 ? head + tail : 0;
        return static_cast<float>((last(slice) - first(slice)) * width + edges);
    }
    // Vectors [from, to) of the plane, with the edges or without.
    SIMAM_BODY PlaneSlice part(int32_t from, int32_t to, bool edges) const {
        int64_t const origin = begin + head;
        return {origin + int64_t{from} * width, to - from, begin,
                edges ? head : 0, edges ? tail : 0, hw};
    }
};

// What one thread of a team holds of a slice.
template <class E, int kTeam, int kHeld>
struct PlaneRegisters {
    using Storage = typename E::Storage;
    static constexpr int kWidth = E::kWidth;
    static_assert(kTeam >= 2 * (kWidth - 1), "an edge element a thread");

    Vector<E> held[kHeld];
    float edge;

    SIMAM_BODY static bool owns(PlaneSlice const& slice, int rank, int i) {
        return rank + i * kTeam < slice.count;
    }
    SIMAM_BODY static int64_t at(PlaneSlice const& slice, int rank, int i) {
        return slice.vectors + int64_t{rank + i * kTeam} * kWidth;
    }
    SIMAM_BODY static bool ownsEdge(PlaneSlice const& slice, int rank) {
        return rank < slice.head + slice.tail;
    }
    SIMAM_BODY static int64_t edgeAt(PlaneSlice const& slice, int rank) {
        return slice.plane + (rank < slice.head ? rank : slice.hw - slice.tail + rank - slice.head);
    }

    template <class Thread>
    SIMAM_BODY void load(Thread const&, Storage const* x, PlaneSlice const& slice, int rank) {
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (owns(slice, rank, i)) Thread::read(x + at(slice, rank, i), held[i]);
        }
        edge = 0.f;
        if (ownsEdge(slice, rank)) edge = readEdge<Thread>(x, slice, rank);
    }

    template <class Thread>
    SIMAM_BODY static float readEdge(Storage const* x, PlaneSlice const& slice, int rank) {
        Scalar<E> scalar;
        Thread::read(x + edgeAt(slice, rank), scalar);
        return Thread::toFloat(E{}, scalar.value);
    }

    template <class Thread>
    SIMAM_BODY float sum(PlaneSlice const& slice, int rank) const {
        float total = edge;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (!owns(slice, rank, i)) continue;
            float value[kWidth];
            unpack<Thread>(held[i], value);
            total += sumOf<kWidth>(value);
        }
        return total;
    }

    template <class Thread>
    SIMAM_BODY float squares(PlaneSlice const& slice, int rank, float mean) const {
        float const d = edge - mean;
        float total = ownsEdge(slice, rank) ? d * d : 0.f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (!owns(slice, rank, i)) continue;
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
    SIMAM_BODY void store(PlaneSlice const& slice, int rank, Gate const& gate,
                          Channel const& channel, Params const& params) const {
        auto* y = static_cast<Storage*>(params.y);
        auto const* residual = static_cast<Storage const*>(params.residual);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (!owns(slice, rank, i)) continue;
            float value[kWidth];
            float added[kWidth] = {};
            if constexpr (kEpilogue == Epilogue::kResidual) {
                Vector<E> other;
                Thread::read(residual + at(slice, rank, i), other);
                unpack<Thread>(other, added);
            }
            unpack<Thread>(held[i], value);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) {
                value[k] = finish<kEpilogue, Thread>(value[k], gate, channel, added[k], params);
            }
            Vector<E> result;
            pack<Thread>(value, result);
            Thread::write(y + at(slice, rank, i), result);
        }
        if (ownsEdge(slice, rank)) {
            float added = 0.f;
            if constexpr (kEpilogue == Epilogue::kResidual) {
                added = readEdge<Thread>(residual, slice, rank);
            }
            float const z = finish<kEpilogue, Thread>(edge, gate, channel, added, params);
            Thread::write(y + edgeAt(slice, rank), Scalar<E>{Thread::fromFloat(E{}, z)});
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

template <int kTeam, class Registers, class Thread>
SIMAM_BODY Moments teamMoments(Thread const& thread, TeamSums<kTeam>& sums, Registers const& x,
                               PlaneSlice const& slice, int rank) {
    float const count = slice.elements(Registers::kWidth);
    float const sum = teamSum<kTeam>(thread, sums.first, x.template sum<Thread>(slice, rank));
    float const mean = count > 0.f ? Thread::divide(sum, count) : 0.f;
    float const squares = x.template squares<Thread>(slice, rank, mean);
    return {count, mean, teamSum<kTeam>(thread, sums.second, squares)};
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
        int const rank = thread.index() % kTeam;
        int64_t const plane = thread.cluster() * kTeams + thread.index() / kTeam;
        if (plane >= params.n * params.c) return;  // A whole warp, block or cluster.
        int const slices = kClusters ? thread.clusterSize() : 1;
        int const part = kClusters ? thread.clusterRank() : 0;
        if (slices > 1) thread.clusterStart();
        PlaneCut const cut(plane, params.hw, slices, E::kWidth);
        PlaneSlice const slice = cut.part(cut.first(part), cut.last(part), part == 0);
        PlaneRegisters<E, kTeam, kHeld> x;
        x.load(thread, static_cast<typename E::Storage const*>(params.x), slice, rank);
        Moments moments = teamMoments<kTeam>(thread, shared.sums, x, slice, rank);
        if (slices > 1) moments = exchange(thread, shared, moments, cut);
        Channel channel{1.f, 0.f};
        if constexpr (kEpilogue != Epilogue::kNone) channel = channelOf(params, plane % params.c);
        x.template store<kEpilogue, Thread>(slice, rank, gateOf<Thread>(moments, params.lambda),
                                            channel, params);
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
