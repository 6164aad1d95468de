// From a choice to the bodies that run it. `Launcher::run<Body>(choice, arguments)` starts one.
#pragma once

#include <limits>

#include "choose.h"
#include "plane.h"
#include "plane_group.h"
#include "plane_split.h"
#include "tile.h"
#include "tile_split.h"

namespace simam {

constexpr bool isOpen(float clipMin, float clipMax) {
    constexpr float kLargest = std::numeric_limits<float>::max();
    return clipMin <= -kLargest && clipMax >= kLargest;
}

inline Epilogue epilogueOf(Params const& params) {
    if (params.residual != nullptr) return Epilogue::kResidual;
    bool const none = params.scale == nullptr && isOpen(params.clipMin, params.clipMax);
    return none ? Epilogue::kNone : Epilogue::kAffine;
}

// The two kernels of a split, or the first one's failure.
template <class Statistics, class Apply, class Launcher>
auto runSplit(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    auto const status = launcher.template run<Statistics>(choice, arguments);
    if (status != Launcher::kSuccess) return status;
    return launcher.template run<Apply>(choice, arguments);
}

template <class E, class Launcher>
auto runTile(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    using Chunk = TileShape<Vector<E>, kTileChunk.lanes, kTileChunk.held>;
    using Element = TileShape<Scalar<E>, kScalarTile.lanes, kScalarTile.held>;
    auto const run = [&](auto shape) {
        return launcher.template run<TileBody<decltype(shape)>>(choice, arguments);
    };
    switch (choice.method) {
        case Method::kSmallTile:
            return run(TileShape<Vector<E>, kSmallTile.lanes, kSmallTile.held>{});
        case Method::kTile:
            return run(TileShape<Vector<E>, kTile.lanes, kTile.held>{});
        case Method::kNarrowTile:
            return run(TileShape<Vector<E>, kNarrowTile.lanes, kNarrowTile.held>{});
        case Method::kScalarTile:
            return run(Element{});
        case Method::kSplitScalarTile:
            return runSplit<TileStatistics<Element>, TileApply<Element>>(launcher, choice,
                                                                         arguments);
        default:
            return runSplit<TileStatistics<Chunk>, TileApply<Chunk>>(launcher, choice, arguments);
    }
}

template <class E, class Launcher>
auto runMethod(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    switch (choice.method) {
        case Method::kNothing:
            return Launcher::kSuccess;
        case Method::kGroup:
            return launcher.template run<PlaneGroup<E>>(choice, arguments);
        case Method::kWarp:
            return launcher.template run<PlaneByWarp<E>>(choice, arguments);
        case Method::kBlock:
            return launcher.template run<PlaneByBlock<E>>(choice, arguments);
        case Method::kSplitPlane:
            return runSplit<PlaneStatistics<E>, PlaneApply<E>>(launcher, choice, arguments);
        default:
            return runTile<E>(launcher, choice, arguments);
    }
}

// Runs a choice on checked params; E is the type's element.
template <class E, class Launcher>
auto enqueue(Launcher& launcher, Choice const& choice, Params const& params, void* workspace) {
    Arguments arguments{params, static_cast<Partial*>(workspace), choice.slices,
                        epilogueOf(params)};
    if (arguments.epilogue == Epilogue::kNone) {  // kAny clips always.
        arguments.params.clipMin = -std::numeric_limits<float>::infinity();
        arguments.params.clipMax = std::numeric_limits<float>::infinity();
    }
    return runMethod<E>(launcher, choice, arguments);
}

}  // namespace simam
