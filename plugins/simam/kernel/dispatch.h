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

template <class E, Epilogue kEpilogue, class Launcher>
auto runPlane(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    auto const run = [&](auto body) {
        return launcher.template run<decltype(body)>(choice, arguments);
    };
    switch (choice.method) {
        case Method::kGroupOf8:
            return run(PlaneGroup<E, kGroupOf8.lanes, kGroupOf8.held, kGroupOf8.rounds, kEpilogue>{});
        case Method::kGroupOf32:
            return run(PlaneGroup<E, kGroupOf32.lanes, kGroupOf32.held, kGroupOf32.rounds, kEpilogue>{});
        case Method::kWarp:
            return run(PlaneBody<E, kWarp.threads, kWarp.held, kEpilogue>{});
        case Method::kBlock128:
            return run(PlaneBody<E, kBlock128.threads, kBlock128.held, kEpilogue>{});
        case Method::kBlock512:
            return run(PlaneBody<E, kBlock512.threads, kBlock512.held, kEpilogue>{});
        default:
            return runSplit<PlaneStatistics<E>, PlaneApply<E>>(launcher, choice, arguments);
    }
}

template <class E, Epilogue kEpilogue, class Launcher>
auto runTile(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    using Chunk = TileShape<Vector<E>, kTileChunk.lanes, kTileChunk.held>;
    using Element = TileShape<Scalar<E>, kScalarTile.lanes, kScalarTile.held>;
    auto const run = [&](auto shape) {
        return launcher.template run<TileBody<decltype(shape), kEpilogue>>(choice, arguments);
    };
    switch (choice.method) {
        case Method::kSmallTile:
            return run(TileShape<Vector<E>, kSmallTile.lanes, kSmallTile.held>{});
        case Method::kTile:
            return run(TileShape<Vector<E>, kTile.lanes, kTile.held>{});
        case Method::kNarrowTile:
            return run(TileShape<Vector<E>, kNarrowTile.lanes, kNarrowTile.held>{});
        case Method::kScalarTile:
            return launcher.template run<TileBody<Element, Epilogue::kAny>>(choice, arguments);
        case Method::kSplitScalarTile:
            return runSplit<TileStatistics<Element>, TileApply<Element>>(launcher, choice,
                                                                         arguments);
        default:
            return runSplit<TileStatistics<Chunk>, TileApply<Chunk>>(launcher, choice, arguments);
    }
}

template <class E, Epilogue kEpilogue, class Launcher>
auto runMethod(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    if (choice.method == Method::kNothing) return Launcher::kSuccess;
    return choice.method < Method::kSmallTile ? runPlane<E, kEpilogue>(launcher, choice, arguments)
                                          : runTile<E, kEpilogue>(launcher, choice, arguments);
}

// For kAny, which clips always: nothing is clipped where no epilogue is asked for.
inline Arguments withoutClip(Arguments arguments) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    arguments.params.clipMin = -kInfinity;
    arguments.params.clipMax = kInfinity;
    return arguments;
}

// What `launch` does once params are checked; E is the type's element.
template <class E, class Launcher>
auto enqueue(Launcher& launcher, Choice const& choice, Arguments const& arguments) {
    switch (epilogueOf(arguments.params)) {
        case Epilogue::kAffine:
            return runMethod<E, Epilogue::kAffine>(launcher, choice, arguments);
        case Epilogue::kResidual:
            return runMethod<E, Epilogue::kResidual>(launcher, choice, arguments);
        default:
            return runMethod<E, Epilogue::kNone>(launcher, choice, withoutClip(arguments));
    }
}

}  // namespace simam
