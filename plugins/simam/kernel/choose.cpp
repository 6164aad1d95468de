#include "choose.h"

#include <algorithm>

#include "arguments.h"

namespace simam {
namespace {

// Partials of a plane, all of which each block of the second kernel reads: 64 are 512 bytes,
// against 32 KB of x.
constexpr int64_t kMaxSlices = 64;

constexpr int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Elements in 16 bytes.
int64_t widthOf(Type type) { return type == Type::kFloat ? 4 : 8; }

bool isVectorised(Params const& params, Type type) { return params.pitch % widthOf(type) == 0; }

// A way to spread planes or tiles of `work` vectors or pixels over blocks or clusters.
struct Option {
    Method method;
    int32_t threads;
    int64_t capacity;  // What a block holds.
    int64_t least;     // Under this a block has idle threads.
};

Option blockOf(int32_t threads) {
    return {Method::kBlock, threads, int64_t{threads} * kBlockHeld, threads};
}

Option option(Method method, TileSize const& size) {
    return {method, TileSize::kThreads, size.pixels(), size.rows()};
}

bool fits(Option const& option, int64_t work, Device const& device) {
    return work <= option.capacity * (device.clusters ? kMaxCluster : 1);
}

// The smallest power of two of blocks that holds `work`; clusters of other sizes leave
// multiprocessors of a GPC unused. More while the GPU would idle and every thread of each block
// has something to read.
Choice spread(Option const& option, int64_t work, int64_t count, Device const& device) {
    int32_t cluster = 1;
    while (cluster * option.capacity < work) cluster *= 2;
    while (device.clusters && cluster < kMaxCluster && count * cluster < device.multiprocessors &&
           work >= 2 * cluster * option.least) {
        cluster *= 2;
    }
    return {option.method, count * cluster, option.threads, cluster, 1};
}

// Blocks to a plane or tile if it is split, by shape alone: two chunks each, or more.
int32_t splitSlices(Params const& params, Type type, Layout layout) {
    int64_t work = params.hw / widthOf(type);
    int64_t each = 2 * kPlaneChunk.vectors();
    if (layout == Layout::kNHWC) {
        work = params.hw;
        each = 2 * (isVectorised(params, type) ? kTileChunk : kScalarTile).pixels();
    }
    return static_cast<int32_t>(std::min(kMaxSlices, ceilDivide(work, each)));
}

Choice split(Method method, Params const& params, Type type, Layout layout, int64_t count) {
    int32_t const slices = splitSlices(params, type, layout);
    return {method, count * slices, 256, 1, slices};
}

// 7 vectors a thread are 28 registers, which leaves room for 1024 threads on a multiprocessor:
// 57 KB to 114 KB in flight, where HBM at 4.3 TB/s and 700 ns wants 23 KB of each of 132. In half
// 7x7 is 98 bytes, 14x14 392, both grouped; 28x28 is 98 vectors, a warp's; 56x56 392, a block of
// 128; 112x112 1568, a block of 256; 200x334 8350, a cluster of 4 blocks of 512.
Choice choosePlane(Params const& params, Type type, Device const& device) {
    int64_t const planes = params.n * params.c;
    int64_t const vectors = params.hw / widthOf(type);
    if (params.hw <= kGroupLargest) {
        return {Method::kGroup, ceilDivide(planes, groupPlanes(params.hw)), kGroupThreads, 1, 1};
    }
    if (vectors <= kWarp.vectors()) {
        return {Method::kWarp, ceilDivide(planes, kWarpsToBlock), 32 * kWarpsToBlock, 1, 1};
    }
    for (int32_t const threads : {128, 256}) {
        Option const block = blockOf(threads);
        if (vectors <= block.capacity) return spread(block, vectors, planes, device);
    }
    Option const largest = blockOf(kMaxPlaneThreads);
    if (fits(largest, vectors, device)) return spread(largest, vectors, planes, device);
    return split(Method::kSplitPlane, params, type, Layout::kNCHW, planes);
}

Choice chooseScalarTile(Params const& params, Type type, Device const& device) {
    int64_t const tiles = params.n * ceilDivide(params.pitch, kScalarTile.lanes);
    Option const scalar = option(Method::kScalarTile, kScalarTile);
    if (fits(scalar, params.hw, device)) return spread(scalar, params.hw, tiles, device);
    return split(Method::kSplitScalarTile, params, type, Layout::kNHWC, tiles);
}

// 8 vectors are 128 bytes a pixel, while a block or half a cluster holds the image (7x7 a block,
// 28x28 a cluster of 4); 4 are 64 bytes, whole sectors still, beyond: 13 pixels a thread hold
// 784, which is 28x28 in a block where there are no clusters, and 56x56 in a cluster of 4.
Choice chooseTile(Params const& params, Type type, Device const& device) {
    if (!isVectorised(params, type)) return chooseScalarTile(params, type, device);
    int64_t const vectors = params.pitch / widthOf(type);
    int64_t const wide = params.n * ceilDivide(vectors, kTile.lanes);
    int64_t const narrow = params.n * ceilDivide(vectors, kNarrowTile.lanes);
    if (params.hw <= kSmallTile.pixels()) {
        return spread(option(Method::kSmallTile, kSmallTile), params.hw, wide, device);
    }
    if (params.hw <= kTile.pixels() * (device.clusters ? kMaxCluster / 2 : 1)) {
        return spread(option(Method::kTile, kTile), params.hw, wide, device);
    }
    Option const largest = option(Method::kNarrowTile, kNarrowTile);
    if (fits(largest, params.hw, device)) return spread(largest, params.hw, narrow, device);
    return split(Method::kSplitTile, params, type, Layout::kNHWC, narrow);
}

}  // namespace

// A partial a slice and channel. Nothing here depends on n, c or the device but the product.
int64_t countPartials(Params const& params, Type type, Layout layout) noexcept {
    Device const anyWithoutClusters{1, false};
    if (choose(params, type, layout, anyWithoutClusters).slices == 1) return 0;
    int64_t const channels = layout == Layout::kNCHW ? params.c : params.pitch;
    return params.n * channels * splitSlices(params, type, layout);
}

Choice choose(Params const& params, Type type, Layout layout, Device const& device) noexcept {
    if (params.n == 0 || params.c == 0 || params.hw == 0) return {Method::kNothing, 0, 0, 1, 1};
    return layout == Layout::kNCHW ? choosePlane(params, type, device)
                                   : chooseTile(params, type, device);
}

}  // namespace simam
