// NHWC: a block owns a tile of channels over an image's pixels, or a slice of them, and holds it
// in registers. Neighbouring lanes read neighbouring channels: 8 lanes of 16 bytes are 128 bytes
// of a pixel, 4 are 64 and still whole sectors.
#pragma once

#include "choose.h"
#include "formula.h"

namespace simam {

// `AccessT` is Vector, or Scalar where pixels do not begin on 16 bytes.
template <class AccessT, int kLanesT, int kHeldT>
struct TileShape {
    using Access = AccessT;
    using Element = typename Access::Element;
    using Storage = typename Element::Storage;
    static constexpr int kLanes = kLanesT;  // Threads side by side on a pixel.
    static constexpr int kHeld = kHeldT;    // Pixels a thread.
    static constexpr int kThreads = TileSize::kThreads;
    static constexpr int kWidth = Access::kWidth;
    static constexpr int kRows = kThreads / kLanes;  // Pixels read at once.
    static constexpr int kPixels = kRows * kHeld;    // A block's capacity.
    static constexpr int kChannels = kLanes * kWidth;
    static constexpr int kWarps = kThreads / 32;
};

// What one thread works on: its channels are `channel` and the next kWidth - 1, its pixels `held`
// (0 where the channels are beyond the pitch) from `origin` on, `step` apart, in elements.
struct TileSlice {
    int64_t channel;
    int64_t origin;
    int64_t step;
    int32_t held;
};

// Which pixels of an image slice i of several holds.
struct TileCut {
    int32_t hw, each;

    SIMAM_BODY TileCut(int64_t pixels, int slices)
        : hw(static_cast<int32_t>(pixels)), each((hw + slices - 1) / slices) {}
    SIMAM_BODY int32_t first(int slice) const {
        int64_t const from = int64_t{slice} * each;
        return from < hw ? static_cast<int32_t>(from) : hw;
    }
    SIMAM_BODY float count(int slice) const {
        return static_cast<float>(first(slice + 1) - first(slice));
    }
};

template <class Shape>
SIMAM_BODY int64_t tilesOf(Params const& params) {
    return (params.pitch + Shape::kChannels - 1) / Shape::kChannels;
}

// Which tile a block or cluster works on.
template <class Shape>
struct TilePlace {
    int64_t image;
    int64_t channel;  // The tile's first.

    SIMAM_BODY TilePlace(Params const& params, int64_t tile) {
        int64_t const tiles = tilesOf<Shape>(params);
        image = tile / tiles;
        channel = tile % tiles * Shape::kChannels;
    }
    // The thread's share of pixels [first, last).
    SIMAM_BODY TileSlice part(Params const& params, int index, int32_t first, int32_t last) const {
        int64_t const own = channel + index % Shape::kLanes * Shape::kWidth;
        int32_t const row = index / Shape::kLanes;
        int32_t const left = own < params.pitch ? last - first - row : 0;
        int64_t const pixel = image * params.hw + first + row;
        return {own, pixel * params.pitch + own, params.pitch * Shape::kRows,
                (left + Shape::kRows - 1) / Shape::kRows};
    }
};

// What one thread holds: kHeld pixels of its kWidth channels.
template <class Shape>
struct TileRegisters {
    using Access = typename Shape::Access;
    using Storage = typename Shape::Storage;
    static constexpr int kWidth = Shape::kWidth;
    static constexpr int kHeld = Shape::kHeld;

    Access held[kHeld];

    template <class Thread>
    SIMAM_BODY void load(Thread const&, Storage const* x, TileSlice const& slice) {
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i < slice.held) Thread::read(x + slice.origin + i * slice.step, held[i]);
        }
    }

    // Adds f(value, k) of each held value of channel k to total[k].
    template <class Thread, class Function>
    SIMAM_BODY void accumulate(TileSlice const& slice, float (&total)[kWidth], Function f) const {
#pragma unroll
        for (int k = 0; k < kWidth; ++k) total[k] = 0.f;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i >= slice.held) continue;
            float value[kWidth];
            unpack<Thread>(held[i], value);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) total[k] = f(total[k], value[k], k);
        }
    }

    template <Epilogue kEpilogue, class Thread>
    SIMAM_BODY void store(TileSlice const& slice, Gate const (&gate)[kWidth],
                          Channel const (&channel)[kWidth], Params const& params) const {
        auto* y = static_cast<Storage*>(params.y);
        auto const* residual = static_cast<Storage const*>(params.residual);
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            if (i >= slice.held) continue;
            float value[kWidth];
            float added[kWidth] = {};
            if (adds<kEpilogue>(params)) {
                Access other;
                Thread::read(residual + slice.origin + i * slice.step, other);
                unpack<Thread>(other, added);
            }
            unpack<Thread>(held[i], value);
#pragma unroll
            for (int k = 0; k < kWidth; ++k) {
                value[k] = finish<kEpilogue, Thread>(value[k], gate[k], channel[k], added[k],
                                                     params);
            }
            Access result;
            pack<Thread>(value, result);
            Thread::write(y + slice.origin + i * slice.step, result);
        }
        if (slice.channel + kWidth > params.c) clearPadding<Thread>(slice, params);
    }

    // Once more over the few threads that have padding lanes, rather than a test an element.
    template <class Thread>
    SIMAM_BODY static void clearPadding(TileSlice const& slice, Params const& params) {
        auto* y = static_cast<Storage*>(params.y) + slice.origin;
        int const channels = params.c > slice.channel ? static_cast<int>(params.c - slice.channel) : 0;
#pragma unroll 1
        for (int i = 0; i < slice.held; ++i) {
#pragma unroll 1
            for (int k = channels; k < kWidth; ++k) {
                Thread::write(y + i * slice.step + k, Scalar<typename Shape::Element>{0});
            }
        }
    }
};

// What a block shares: sums a warp, then what a thread a channel made of them.
template <class Shape>
struct TileShared {
    // In two places: one thread may still read the first sums while another writes the second.
    float first[Shape::kWarps][Shape::kChannels];
    float second[Shape::kWarps][Shape::kChannels];
    float mean[Shape::kChannels];
    Gate gate[Shape::kChannels];
    Channel channel[Shape::kChannels];
};

// A channel's sum over the rows of one warp, left in `sums` by warp.
template <class Shape, class Thread>
SIMAM_BODY void sumRows(Thread const& thread, float (&value)[Shape::kWidth],
                        float (&sums)[Shape::kWarps][Shape::kChannels]) {
    int const warp = thread.index() / 32;
    int const lane = thread.index() % 32;
#pragma unroll
    for (int k = 0; k < Shape::kWidth; ++k) {
#pragma unroll
        for (int mask = 16; mask >= Shape::kLanes; mask /= 2) {
            value[k] += thread.shuffleXor(value[k], mask);
        }
        if (lane < Shape::kLanes) sums[warp][lane * Shape::kWidth + k] = value[k];
    }
}

template <class Shape>
SIMAM_BODY float columnSum(float const (&sums)[Shape::kWarps][Shape::kChannels], int channel) {
    float total = 0.f;
#pragma unroll
    for (int warp = 0; warp < Shape::kWarps; ++warp) total += sums[warp][channel];
    return total;
}

// The moments of channel thread.index() of the tile, for the threads below kChannels.
template <class Shape, class Thread>
SIMAM_BODY Moments tileMoments(Thread const& thread, TileShared<Shape>& shared,
                               TileRegisters<Shape> const& x, TileSlice const& slice,
                               float count) {
    constexpr int kWidth = Shape::kWidth;
    int const lane = thread.index() % Shape::kLanes;
    int const channel = thread.index();
    float total[kWidth];
    x.template accumulate<Thread>(slice, total,
                                  [](float sum, float value, int) { return sum + value; });
    sumRows<Shape>(thread, total, shared.first);
    thread.barrier();
    if (channel < Shape::kChannels) {
        float const sum = columnSum<Shape>(shared.first, channel);
        shared.mean[channel] = count > 0.f ? Thread::divide(sum, count) : 0.f;
    }
    thread.barrier();
    float mean[kWidth];
#pragma unroll
    for (int k = 0; k < kWidth; ++k) mean[k] = shared.mean[lane * kWidth + k];
    x.template accumulate<Thread>(slice, total, [&](float sum, float value, int k) {
        return Thread::fma(value - mean[k], value - mean[k], sum);
    });
    sumRows<Shape>(thread, total, shared.second);
    thread.barrier();
    if (channel >= Shape::kChannels) return {0.f, 0.f, 0.f};
    return {count, shared.mean[channel], columnSum<Shape>(shared.second, channel)};
}

// What the threads below kChannels know of their channel, to every thread that holds its pixels.
template <class Shape, class Thread>
SIMAM_BODY void shareGate(Thread const& thread, TileShared<Shape>& shared, Moments const& moments,
                          int64_t firstChannel, Params const& params) {
    int const own = thread.index();
    if (own < Shape::kChannels) {
        bool const padding = firstChannel + own >= params.c;
        shared.gate[own] = gateOf<Thread>(moments, params.lambda);
        shared.channel[own] = padding ? Channel{} : channelOf(params, firstChannel + own);
    }
    thread.barrier();
}

template <Epilogue kEpilogue, class Shape, class Thread>
SIMAM_BODY void finishTile(Thread const& thread, TileShared<Shape> const& shared,
                           TileRegisters<Shape> const& x, TileSlice const& slice,
                           Params const& params) {
    constexpr int kWidth = Shape::kWidth;
    int const lane = thread.index() % Shape::kLanes;
    Gate gate[kWidth];
    Channel channel[kWidth];
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
        gate[k] = shared.gate[lane * kWidth + k];
        channel[k] = shared.channel[lane * kWidth + k];
    }
    x.template store<kEpilogue, Thread>(slice, gate, channel, params);
}

// The kernel: a tile to a block or a cluster. One read, one write.
template <class Shape>
struct TileBody {
    static constexpr int kMaxThreads = Shape::kThreads;
    static constexpr int kMinBlocks = kAsCompiled;
    struct Shared {
        TileShared<Shape> tile;
        Partial exchange[kMaxCluster][Shape::kChannels];
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        Params const& params = arguments.params;
        if (thread.cluster() >= params.n * tilesOf<Shape>(params)) return;  // A whole cluster.
        int const slices = thread.clusterSize();
        int const part = thread.clusterRank();
        if (slices > 1) thread.clusterStart();
        TilePlace<Shape> const place(params, thread.cluster());
        TileCut const cut(params.hw, slices);
        TileSlice const slice =
            place.part(params, thread.index(), cut.first(part), cut.first(part + 1));
        TileRegisters<Shape> x;
        x.load(thread, static_cast<typename Shape::Storage const*>(params.x), slice);
        Moments moments = tileMoments<Shape>(thread, shared.tile, x, slice, cut.count(part));
        if (slices > 1) moments = exchange(thread, shared, moments, cut);
        shareGate<Shape>(thread, shared.tile, moments, place.channel, params);
        withEpilogue(arguments.epilogue, [&](auto epilogue) {
            finishTile<decltype(epilogue)::kValue>(thread, shared.tile, x, slice, params);
        });
    }

    // As PlaneBody's, a channel a thread.
    template <class Thread>
    SIMAM_BODY static Moments exchange(Thread const& thread, Shared& shared, Moments const& own,
                                       TileCut const& cut) {
        int const channel = thread.index();
        int const slices = thread.clusterSize();
        thread.clusterWait();
        if (channel < Shape::kChannels) {
            for (int rank = 0; rank < slices; ++rank) {
                Shared& other = thread.remote(shared, rank);
                other.exchange[thread.clusterRank()][channel] = {own.mean, own.m2};
            }
        }
        thread.clusterArrive();
        thread.clusterWait();
        if (channel >= Shape::kChannels) return own;
        return combine<Thread>(&shared.exchange[0][channel], Shape::kChannels, slices, cut);
    }
};

}  // namespace simam
