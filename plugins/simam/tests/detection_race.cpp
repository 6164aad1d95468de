// A detector's kernels with each CUDA thread on a thread of its own, in tensors of exactly their
// size: for ThreadSanitizer, whose exit code is 66 where it saw a race, and for AddressSanitizer.
// Results are not looked at; detection_library.cpp's are.
//
// usage: detection_race [align NUMBER | nms NUMBER]: the operator's kernels alone, barrier NUMBER of
// each thread taken out. Without those that say how often the others are met, threads would wait
// for ever.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "../detection/check.h"
#include "../detection/dispatch.h"
#include "host_launcher.h"
#include "threads.h"

using namespace simam;

namespace {

using Units = std::vector<Vector<Float>>;  // Of 16 bytes, on 16 bytes.

// Two RoIs each: threads of one host process are dear.
struct Align {
    char const* name;
    Layout from, to;
    int64_t c, pitch;
    int32_t bins, ratio;
};

constexpr Align kAligns[] = {
    {"planes", Layout::kNCHW, Layout::kNCHW, 4, 4, 7, 0},
    {"pixels, padded", Layout::kNHWC, Layout::kNHWC, 5, 8, 7, 0},
    {"pixels to planes", Layout::kNHWC, Layout::kNCHW, 3, 3, 2, 3},
    {"rounds", Layout::kNCHW, Layout::kNCHW, 4, 4, 8, 70},
};

bool run(Align const& given) {
    std::vector<float> const rois{2, 3, 21.5, 30, -9, 5, 14, 12};
    std::vector<Units> maps;
    AlignParams params{};
    for (int i = 0; i < kLevels; ++i) {
        int64_t const side = 8 >> i;
        maps.emplace_back(static_cast<size_t>((side * side * given.pitch + 3) / 4));
        params.levels[i] = {maps.back().data(), side, side};
    }
    int64_t const lanes = given.to == Layout::kNCHW ? given.c : given.pitch;
    Units y(static_cast<size_t>((2 * lanes * given.bins * given.bins + 3) / 4));
    Units boxes(2);
    std::memcpy(static_cast<void*>(boxes.data()), rois.data(), 32);
    params.rois = reinterpret_cast<float const*>(boxes.data());
    params.y = y.data();
    params.n = 1;
    params.r = 2;
    params.c = given.c;
    params.pitch = given.pitch;
    params.from = given.from;
    params.to = given.to;
    params.bins = given.bins;
    params.ratio = given.ratio;
    params.finest = 56.f;
    std::printf("RoIs of %s\n", given.name);
    HostLauncher<Threads> launcher;
    return isValid(params) && enqueueAlign(launcher, params, Type::kFloat) == 0;
}

// Boxes in groups 0 and `far`, between which there are others without any.
struct Boxes {
    Units boxes, workspace;
    std::vector<float> scores, kept;
    std::vector<int64_t> groups;
    NmsParams params{};

    Boxes(int64_t count, int64_t far)
        : boxes(static_cast<size_t>(count)), workspace(static_cast<size_t>(nmsBytes(1, count) / 16)) {
        kept.resize(boxes.size());
        for (int64_t i = 0; i < count; ++i) {
            auto const left = static_cast<float>(i * 7 % 90);
            float const box[4] = {left, 0.f, left + 30.f, 10.f};
            std::memcpy(&boxes[static_cast<size_t>(i)], box, sizeof box);
            scores.push_back(static_cast<float>(i * 37 % 101));
            groups.push_back(i % 3 == 0 ? far : 0);
        }
        params = {reinterpret_cast<float const*>(boxes.data()), scores.data(), groups.data(),
                  kept.data(), 1, count, far + 1, 0.5f, true};
        std::printf("%lld boxes\n", static_cast<long long>(count));
    }
};

// Of each kernel the first `blocks` alone.
bool suppress(int64_t count, int64_t far, int64_t blocks) {
    Boxes given(count, far);
    lastCluster = blocks;
    HostLauncher<Threads> launcher;
    return isValid(given.params, given.workspace.data()) &&
           enqueueNms(launcher, given.params, given.workspace.data()) == 0;
}

// One block that ranks boxes by more keys than it holds.
bool rank(int64_t count) {
    Boxes given(count, 1);
    NmsArguments const arguments{given.params, spaceOf(given.params, given.workspace.data()), 1};
    lastCluster = 1;
    HostLauncher<Threads> launcher;
    return launcher.run<NmsOrder>(Grid{1, NmsOrder::kMaxThreads, 1}, arguments) == 0;
}

bool runAligns() {
    for (Align const& given : kAligns) {
        if (!run(given)) return false;
    }
    return true;
}

// Group 256 is the first block's second one.
bool runNms() { return suppress(130, 2, INT64_MAX) && suppress(100, 256, 8) && rank(1100); }

}  // namespace

int main(int count, char** words) {
    std::string const which = count > 1 ? words[1] : "both";
    barrierTakenOut = count > 2 ? std::atoi(words[2]) : -1;
    bool const aligned = which == "nms" || runAligns();
    bool const suppressed = which == "align" || runNms();
    return aligned && suppressed ? 0 : 1;
}
