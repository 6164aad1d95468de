// From checked params to the bodies that run them, and on how many blocks.
// `Launcher::run<Body>(grid, arguments)` starts one.
#pragma once

#include <algorithm>

#include "align.h"
#include "nms.h"

namespace simam {

struct Grid {
    int64_t blocks;
    int32_t threads;
    int32_t cluster;  // 1: no clusters.
};

// Two thousand blocks keep any GPU busy; a block has 32 channels at least, whose weights are laid
// out once.
inline int32_t slabsOf(AlignParams const& params) {
    constexpr int64_t kBlocks = 2048;
    int64_t const rois = params.n * params.r;
    int64_t const most = std::max<int64_t>(1, params.c / 32);
    return static_cast<int32_t>(std::clamp<int64_t>((kBlocks + rois - 1) / rois, 1, most));
}

template <class E, class Launcher>
auto enqueueAlignOf(Launcher& launcher, AlignParams const& params) {
    AlignArguments const arguments{params, slabsOf(params)};
    Grid const grid{params.n * params.r * arguments.slabs, kAlignThreads, 1};
    if (params.from == Layout::kNHWC && params.pitch % E::kWidth == 0) {
        return launcher.template run<AlignBody<Vector<E>>>(grid, arguments);
    }
    return launcher.template run<AlignBody<Scalar<E>>>(grid, arguments);
}

template <class Launcher>
auto enqueueAlign(Launcher& launcher, AlignParams const& params, Type type) {
    switch (type) {
        case Type::kFloat: return enqueueAlignOf<Float>(launcher, params);
        case Type::kHalf: return enqueueAlignOf<Half>(launcher, params);
        default: return enqueueAlignOf<BFloat16>(launcher, params);
    }
}

constexpr int64_t upTo16(int64_t bytes) { return (bytes + 15) / 16 * 16; }

// Bytes of the four parts of the workspace; each begins on 16 bytes.
constexpr int64_t nmsBytes(int64_t batch, int64_t count) {
    int64_t const boxes = batch * count;
    return boxes * 16 + 2 * upTo16(boxes * 4) + upTo16(boxes * wordsOf(count) * 8);
}

inline NmsSpace spaceOf(NmsParams const& params, void* workspace) {
    int64_t const boxes = params.batch * params.count;
    auto* const from = static_cast<char*>(workspace);
    auto* const groups = from + boxes * 16;
    auto* const places = groups + upTo16(boxes * 4);
    auto* const overlaps = places + upTo16(boxes * 4);
    return {reinterpret_cast<Vector<Float>*>(from), reinterpret_cast<int32_t*>(groups),
            reinterpret_cast<int32_t*>(places), reinterpret_cast<uint64_t*>(overlaps)};
}

// The three kernels, or the first one's failure.
template <class Launcher>
auto enqueueNms(Launcher& launcher, NmsParams const& params, void* workspace) {
    constexpr int64_t kSweepers = 256;
    int64_t const words = wordsOf(params.count);
    NmsArguments const arguments{params, spaceOf(params, workspace),
                                 static_cast<int32_t>(std::min(params.groupCount, kSweepers))};
    int64_t const ordered = (params.count + NmsOrder::kBoxes - 1) / NmsOrder::kBoxes;
    auto status = launcher.template run<NmsOrder>(
        Grid{params.batch * ordered, NmsOrder::kMaxThreads, 1}, arguments);
    if (status != Launcher::kSuccess) return status;
    status = launcher.template run<NmsOverlaps>(
        Grid{params.batch * words * words, NmsOverlaps::kMaxThreads, 1}, arguments);
    if (status != Launcher::kSuccess) return status;
    return launcher.template run<NmsSweep>(
        Grid{params.batch * arguments.sweepers, NmsSweep::kMaxThreads, 1}, arguments);
}

}  // namespace simam
