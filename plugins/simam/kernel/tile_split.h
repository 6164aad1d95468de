// NHWC tiles beyond a block or a cluster: as plane_split.h.
#pragma once

#include "tile.h"

namespace simam {

// Where a block works: `slices` blocks to a tile, each on chunks as large as its registers.
template <class Shape>
struct TileSplit {
    static constexpr int kMaxThreads = Shape::kThreads;
    static constexpr int kMinBlocks = kAsCompiled;

    Params const& params;
    int slices;
    TileCut cut;
    TilePlace<Shape> place;
    int part;

    SIMAM_BODY TileSplit(Arguments const& arguments, int64_t block)
        : params(arguments.params),
          slices(arguments.slices),
          cut(arguments.params.hw, arguments.slices),
          place(arguments.params, block / arguments.slices),
          part(static_cast<int>(block % arguments.slices)) {}

    SIMAM_BODY static bool beyond(Arguments const& arguments, int64_t block) {
        return block >= arguments.params.n * tilesOf<Shape>(arguments.params) * arguments.slices;
    }

    // Partials of an image lie slice by slice, a channel beside its neighbour.
    SIMAM_BODY int64_t partialAt(int slice, int channelOfTile) const {
        return (place.image * slices + slice) * params.pitch + place.channel + channelOfTile;
    }
    SIMAM_BODY bool holds(int channelOfTile) const {
        return channelOfTile < Shape::kChannels && place.channel + channelOfTile < params.pitch;
    }

    template <class Visit>
    SIMAM_BODY void forEachChunk(int index, Visit visit) const {
        int32_t const last = cut.first(part + 1);
#pragma unroll 1
        for (int32_t from = cut.first(part); from < last; from += Shape::kPixels) {
            int32_t const to = last - from < Shape::kPixels ? last : from + Shape::kPixels;
            visit(place.part(params, index, from, to), static_cast<float>(to - from));
        }
    }
};

template <class Shape>
struct TileStatistics {
    static constexpr int kMaxThreads = Shape::kThreads;
    static constexpr int kMinBlocks = kAsCompiled;
    struct Shared {
        TileShared<Shape> tile;
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        if (TileSplit<Shape>::beyond(arguments, thread.cluster())) return;
        TileSplit<Shape> const split(arguments, thread.cluster());
        Moments moments{0.f, 0.f, 0.f};
        split.forEachChunk(thread.index(), [&](TileSlice const& slice, float count) {
            TileRegisters<Shape> x;
            x.load(thread, static_cast<typename Shape::Storage const*>(split.params.x), slice);
            moments =
                merge<Thread>(moments, tileMoments<Shape>(thread, shared.tile, x, slice, count));
        });
        if (split.holds(thread.index())) {
            arguments.partials[split.partialAt(split.part, thread.index())] = {moments.mean,
                                                                               moments.m2};
        }
    }
};

template <class Shape>
struct TileApply {
    static constexpr int kMaxThreads = Shape::kThreads;
    static constexpr int kMinBlocks = kAsCompiled;
    struct Shared {
        TileShared<Shape> tile;
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        if (TileSplit<Shape>::beyond(arguments, thread.cluster())) return;
        TileSplit<Shape> const split(arguments, thread.cluster());
        Params const& params = arguments.params;
        Moments moments{0.f, 0.f, 0.f};
        if (split.holds(thread.index())) {
            moments = combine<Thread>(arguments.partials + split.partialAt(0, thread.index()),
                                      params.pitch, split.slices, split.cut);
        }
        shareGate<Shape>(thread, shared.tile, moments, split.place.channel, params);
        split.forEachChunk(thread.index(), [&](TileSlice const& slice, float) {
            TileRegisters<Shape> x;
            x.load(thread, static_cast<typename Shape::Storage const*>(params.x), slice);
            finishTile<Epilogue::kAny>(thread, shared.tile, x, slice, params);
        });
    }
};

}  // namespace simam
