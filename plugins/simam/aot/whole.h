// A plane or a tile to one block, whatever its size: for a caller that can neither choose a kernel
// at launch nor hand it a workspace or a cluster. Up to what a block's registers hold, one read and
// one write; beyond, two reads.
#pragma once

#include "plane.h"
#include "plane_group.h"
#include "plane_split.h"
#include "tile.h"
#include "tile_split.h"

namespace simam {

// NCHW. Blocks: one a plane, or one a group of planes where hw is at most kGroupLargest. More do no
// harm.
template <class E>
struct WholePlane {
    using Split = PlaneSplit<E>;
    static constexpr int kMaxThreads = Split::kMaxThreads;
    static constexpr int kMinBlocks = kAsCompiled;
    static_assert(kMaxThreads == PlaneGroup<E>::kMaxThreads, "one launch serves both");

    union Shared {
        typename PlaneGroup<E>::Shared group;
        typename PlaneByBlock<E>::Shared block;
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        int64_t const hw = arguments.params.hw;
        if (hw <= kGroupLargest) {
            PlaneGroup<E>::run(thread, shared.group, arguments);
        } else if (hw / E::kWidth <= kMaxThreads * kBlockHeld) {
            PlaneByBlock<E>::run(thread, shared.block, arguments);
        } else {
            runChunks(thread, shared.block.sums, arguments.params);
        }
    }

    template <class Thread>
    SIMAM_BODY static void runChunks(Thread const& thread, BlockSums& sums, Params const& params) {
        int64_t const plane = thread.cluster();
        if (plane >= params.n * params.c) return;
        PlaneCut const cut(plane, params.hw, 1, E::kWidth);
        auto const* from = static_cast<typename E::Storage const*>(params.x);
        Moments moments{0.f, 0.f, 0.f};
        Split::forEachChunk(cut, 0, thread.index(), [&](PlaneSlice const& slice) {
            typename Split::Registers x;
            x.load(thread, from, slice);
            moments = merge<Thread>(moments, blockMoments(thread, sums, x, slice));
        });
        Gate const gate = gateOf<Thread>(moments, params.lambda);
        Channel const channel = channelOf(params, plane);
        Split::forEachChunk(cut, 0, thread.index(), [&](PlaneSlice const& slice) {
            typename Split::Registers x;
            x.load(thread, from, slice);
            x.template store<Epilogue::kAny, Thread>(slice, gate, channel, params);
        });
    }
};

// NHWC whose pixels begin on 16 bytes. Blocks: one a tile of kNarrowTile.lanes vectors.
template <class E>
struct WholeTile {
    using Held = TileShape<Vector<E>, kNarrowTile.lanes, kNarrowTile.held>;
    using Chunk = TileShape<Vector<E>, kTileChunk.lanes, kTileChunk.held>;
    static constexpr int kMaxThreads = TileSize::kThreads;
    static constexpr int kMinBlocks = kAsCompiled;
    static_assert(Held::kChannels == Chunk::kChannels, "one launch serves both");

    union Shared {
        typename TileBody<Held>::Shared held;
        TileShared<Chunk> chunk;
    };

    template <class Thread>
    SIMAM_BODY static void run(Thread const& thread, Shared& shared, Arguments const& arguments) {
        if (arguments.params.hw <= Held::kPixels) {
            TileBody<Held>::run(thread, shared.held, arguments);
        } else {
            runChunks(thread, shared.chunk, arguments);
        }
    }

    // arguments.slices is 1.
    template <class Thread>
    SIMAM_BODY static void runChunks(Thread const& thread, TileShared<Chunk>& shared,
                                     Arguments const& arguments) {
        if (TileSplit<Chunk>::beyond(arguments, thread.cluster())) return;
        TileSplit<Chunk> const split(arguments, thread.cluster());
        auto const* from = static_cast<typename E::Storage const*>(split.params.x);
        Moments moments{0.f, 0.f, 0.f};
        split.forEachChunk(thread.index(), [&](TileSlice const& slice, float count) {
            TileRegisters<Chunk> x;
            x.load(thread, from, slice);
            moments = merge<Thread>(moments, tileMoments<Chunk>(thread, shared, x, slice, count));
        });
        shareGate<Chunk>(thread, shared, moments, split.place.channel, split.params);
        split.forEachChunk(thread.index(), [&](TileSlice const& slice, float) {
            TileRegisters<Chunk> x;
            x.load(thread, from, slice);
            finishTile<Epilogue::kAny>(thread, shared, x, slice, split.params);
        });
    }
};

}  // namespace simam
