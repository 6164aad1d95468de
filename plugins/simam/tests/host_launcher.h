// Runs a body's grid on an engine, as CudaLauncher does on a GPU.
#pragma once

#include <algorithm>
#include <cstring>

#include "host_thread.h"

namespace simam {

// Clusters [firstCluster, lastCluster) run: of a tensor of 2^31 elements the last few.
inline int64_t firstCluster = 0;
inline int64_t lastCluster = INT64_MAX;

template <class Engine>
struct HostLauncher {
    static constexpr int kSuccess = 0;

    template <class Body, class Grid, class Arguments>
    int run(Grid const& grid, Arguments const& arguments) {
        int64_t const clusters = std::min(grid.blocks / grid.cluster, lastCluster);
        for (int64_t first = firstCluster; first < clusters; first += Engine::kGroup) {
            int64_t const last = std::min<int64_t>(clusters, first + Engine::kGroup);
            runGroup<Body>(first, last, grid, arguments);
        }
        return kSuccess;
    }

private:
    template <class Body, class Grid, class Arguments>
    static void runGroup(int64_t first, int64_t last, Grid const& grid,
                         Arguments const& arguments) {
        int const size = grid.cluster;
        int const threads = grid.threads;
        using Shared = typename Body::Shared;
        auto const blocks = static_cast<size_t>((last - first) * size);
        std::vector<Shared> shared(blocks);
        // Shared memory begins as what the last block left: NaN, for one.
        std::memset(static_cast<void*>(shared.data()), 0xff, blocks * sizeof(Shared));
        std::vector<HostCluster<Engine>> clusters;
        for (int64_t i = first; i < last; ++i) {
            Shared* const own = &shared[static_cast<size_t>((i - first) * size)];
            clusters.push_back(clusterOf<Body>(i, grid, own));
        }
        Engine::run(static_cast<int>(blocks) * threads, [&](int i) {
            int const block = i / threads;
            HostThread<Engine> const thread{&clusters[static_cast<size_t>(block / size)],
                                            block % size, i % threads};
            Body::run(thread, shared[static_cast<size_t>(block)], arguments);
        });
    }

    template <class Body, class Grid>
    static HostCluster<Engine> clusterOf(int64_t index, Grid const& grid,
                                         typename Body::Shared* shared) {
        int const size = grid.cluster;
        int const threads = grid.threads;
        HostCluster<Engine> cluster{
            index, {}, std::make_unique<typename Engine::Barrier>(size * threads)};
        for (int i = 0; i < size; ++i) cluster.blocks.emplace_back(threads, shared + i);
        return cluster;
    }
};

}  // namespace simam
