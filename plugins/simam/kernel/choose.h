// Which kernel runs a shape, and on how many blocks.
#pragma once

#include <cstdint>

#include "element.h"
#include "params.h"

namespace simam {

// Of the device, what the choice rests on.
struct Device {
    int32_t multiprocessors;
    bool clusters;  // Compute capability 9.0 and later, in code compiled for it.
};

enum class Method : int32_t {
    kNothing,     // An empty tensor.
    kGroup,       // NCHW: a plane to some lanes of a warp, staged in shared memory
    kWarp,        // a plane to a warp, in registers
    kBlock,       // a plane to a block or a cluster of blocks, in registers
    kSplitPlane,  // a plane to several blocks of two kernels, by chunks
    kSmallTile,   // NHWC: channels by pixels to a block or a cluster, in registers
    kTile,
    kNarrowTile,
    kSplitTile,        // several blocks of two kernels, by chunks
    kScalarTile,       // NHWC whose pixels do not begin on 16 bytes, an element a thread
    kSplitScalarTile,
};

struct Choice {
    Method method;
    int64_t blocks;
    int32_t threads;  // Of a block.
    int32_t cluster;  // Blocks of a cluster, which share a plane or tile; 1 without clusters.
    int32_t slices;   // Blocks of a split, likewise; 1 without a split.
};

// What a block is made of. Bodies and choice agree by these.

// A group: kGroupHeld pixels to a lane, and kGroupRounds planes one after another to the same
// lanes, so that a block has 6 KB of 7x7 or 14x14 halves in flight.
constexpr int kGroupThreads = 256;
constexpr int kGroupHeld = 8;
constexpr int kGroupRounds = 2;
constexpr int kGroupLargest = 32 * kGroupHeld;  // Pixels in a plane.
SIMAM_SHARED constexpr int groupLanes(int64_t hw) { return hw <= 8 * kGroupHeld ? 8 : 32; }
SIMAM_SHARED constexpr int groupPlanes(int64_t hw) { return kGroupThreads / groupLanes(hw) * kGroupRounds; }

struct TeamShape {
    int threads;  // To a plane.
    int held;     // Vectors a thread.

    constexpr int vectors() const { return threads * held; }
};
constexpr TeamShape kWarp{32, 4};
constexpr int kWarpsToBlock = 4;
constexpr int kBlockHeld = 7;  // 8 spill; 7 hold 56x56, 112x112 and 14x14 without waste.
constexpr int kMaxPlaneThreads = 512;
constexpr TeamShape kPlaneChunk{256, 4};  // Of a split: its blocks go from chunk to chunk.

struct TileSize {
    int lanes;  // Vectors of channels (kScalarTile: channels), a thread each.
    int held;   // Pixels a thread.
    static constexpr int kThreads = 256;  // 512 spill: 8 sums, means and gates a thread.

    constexpr int rows() const { return kThreads / lanes; }
    constexpr int pixels() const { return rows() * held; }
};
constexpr TileSize kSmallTile{8, 2};
constexpr TileSize kTile{8, 7};
constexpr TileSize kNarrowTile{4, 13};
constexpr TileSize kTileChunk{4, 4};
constexpr TileSize kScalarTile{32, 8};

Choice choose(Params const& params, Type type, Layout layout, Device const& device) noexcept;

// Partials that a split of these sizes, or of any smaller, leaves between its kernels; 0 where
// none is split on any device.
int64_t countPartials(Params const& params, Type type, Layout layout) noexcept;

}  // namespace simam
