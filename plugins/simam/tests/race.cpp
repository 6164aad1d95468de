// Every kernel with each CUDA thread on a thread of its own, for ThreadSanitizer: its exit code is
// 66 where it saw a race. Results are not looked at; host_library.cpp's are.
//
// usage: race [NUMBER | cluster]: takes out barrier NUMBER of each thread, or the clusters'.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "check.h"
#include "dispatch.h"
#include "host_launcher.h"
#include "threads.h"

using namespace simam;

namespace {

struct Case {
    char const* name;
    Layout layout;
    int64_t n, c, hw, pitch;
    bool clusters;
    Method method;
    int64_t blocks;  // Threads of one host process are dear: each case is small.
};

constexpr Case kCases[] = {
    {"7x7 planes", Layout::kNCHW, 1, 67, 49, 0, false, Method::kGroup, 2},
    {"14x14 planes", Layout::kNCHW, 1, 17, 196, 0, false, Method::kGroup, 2},
    {"odd planes, a warp each", Layout::kNCHW, 1, 5, 257, 0, false, Method::kWarp, 2},
    {"odd planes, a block each", Layout::kNCHW, 1, 3, 901, 0, false, Method::kBlock, 3},
    {"odd planes, a cluster each", Layout::kNCHW, 1, 2, 2051, 0, true, Method::kBlock, 4},
    {"split planes", Layout::kNCHW, 1, 1, 14401, 0, false, Method::kSplitPlane, 2},
    {"7x7 pixels, padded", Layout::kNHWC, 1, 33, 49, 40, false, Method::kSmallTile, 2},
    {"14x14 pixels", Layout::kNHWC, 1, 32, 196, 32, false, Method::kTile, 1},
    {"14x14 pixels, a cluster", Layout::kNHWC, 1, 32, 196, 32, true, Method::kTile, 4},
    {"30x26 pixels", Layout::kNHWC, 1, 13, 780, 16, false, Method::kNarrowTile, 1},
    {"split pixels", Layout::kNHWC, 1, 13, 900, 16, false, Method::kSplitTile, 2},
    {"odd channels", Layout::kNHWC, 1, 35, 49, 35, false, Method::kScalarTile, 2},
    {"odd channels, split", Layout::kNHWC, 1, 3, 200, 3, false, Method::kSplitScalarTile, 2},
};

bool run(Case const& given) {
    int64_t const lanes = given.layout == Layout::kNHWC ? given.pitch : given.c;
    auto const elements = static_cast<size_t>(given.n * lanes * given.hw);
    std::vector<Vector<Float>> x(elements / 4 + 1), y(elements / 4 + 1);  // On 16 bytes.
    std::vector<float> scale(static_cast<size_t>(given.c), 2.f);
    Params const params{x.data(),     y.data(),  x.data(), scale.data(), scale.data(), given.n,
                        given.c,      given.hw,  given.pitch, 1e-4f,     0.f,          6.f};
    Device const device{given.clusters ? 4 : 1, given.clusters};
    Choice const choice = choose(params, Type::kFloat, given.layout, device);
    std::printf("%s: method %d, %lld blocks in clusters of %d\n", given.name,
                static_cast<int>(choice.method), static_cast<long long>(choice.blocks),
                choice.cluster);
    if (choice.method != given.method || choice.blocks != given.blocks) return false;
    std::vector<Partial> partials(
        static_cast<size_t>(countPartials(params, Type::kFloat, given.layout)));
    HostLauncher<Threads> launcher;
    return enqueue<Float>(launcher, choice, params, partials.data()) == 0;
}

}  // namespace

int main(int count, char** words) {
    std::string const takenOut = count > 1 ? words[1] : "-1";
    clusterBarriersTakenOut = takenOut == "cluster";
    if (!clusterBarriersTakenOut) barrierTakenOut = std::atoi(takenOut.c_str());
    for (Case const& given : kCases) {
        if (!run(given)) return 1;
    }
    return 0;
}
