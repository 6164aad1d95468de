// Which kernel runs a shape, and on how many blocks.
#pragma once

#include <cstdint>

#include "params.h"

namespace simam {

// Of the device, what the choice rests on.
struct Device {
    int32_t multiprocessors;
    bool clusters;  // Compute capability 9.0 and later, in code compiled for it.
};

enum class Method : int32_t {
    kNothing,        // An empty tensor.
    kGroupOf8,   // NCHW: a plane to some lanes of a warp, staged in shared memory
    kGroupOf32,
    kWarp,       // a plane to a warp, in registers
    kBlock128,   // a plane to a block or a cluster of blocks, in registers
    kBlock512,
    kSplitPlane,  // a plane to several blocks of two kernels, by chunks
    kSmallTile,       // NHWC: channels by pixels to a block or a cluster, in registers
    kTile,
    kNarrowTile,
    kSplitTile,        // several blocks of two kernels, by chunks
    kScalarTile,       // NHWC whose pixels do not begin on 16 bytes, an element a thread
    kSplitScalarTile,
};

struct Choice {
    Method method;
    int64_t blocks;
    int32_t cluster;  // Blocks of a cluster, which share a plane or tile; 1 without clusters.
    int32_t slices;   // Blocks of a split, likewise; 1 without a split.
};

// What a block is made of. Bodies and choice agree by these.
struct GroupShape {
    int lanes;   // To a plane.
    int held;    // Pixels a lane.
    int rounds;  // Planes one after another.
    static constexpr int kThreads = 256;

    constexpr int pixels() const { return lanes * held; }
    constexpr int planes() const { return kThreads / lanes * rounds; }
};
constexpr GroupShape kGroupOf8{8, 8, 2};
constexpr GroupShape kGroupOf32{32, 8, 2};

struct TeamShape {
    int threads;  // To a plane.
    int held;     // Vectors a thread.

    constexpr int vectors() const { return threads * held; }
};
constexpr int kPlaneBlock = 128;  // Threads of a block, where a team has fewer.
constexpr TeamShape kWarp{32, 4};
constexpr TeamShape kBlock128{128, 7};
constexpr TeamShape kBlock512{512, 7};
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
