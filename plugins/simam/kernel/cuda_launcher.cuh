// Starts a body as a CUDA kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "cuda_thread.cuh"

namespace simam {

// Threads that a multiprocessor has room for: ptxas warns where a wish is beyond.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
constexpr int kResidentThreads = 1024;
#else
constexpr int kResidentThreads = 1536;
#endif

template <class Body>
constexpr int minBlocks() {
    return std::min(Body::kMinBlocks, kResidentThreads / Body::kMaxThreads);
}

template <class Body, class Arguments>
__global__ void __launch_bounds__(Body::kMaxThreads, minBlocks<Body>())
    simamKernel(__grid_constant__ Arguments const arguments) {
    __shared__ typename Body::Shared shared;
    Body::run(CudaThread{}, shared, arguments);
}

struct CudaLauncher {
    static constexpr cudaError_t kSuccess = cudaSuccess;
    cudaStream_t stream;

    // A grid has blocks, threads to a block and blocks to a cluster.
    template <class Body, class Grid, class Arguments>
    cudaError_t run(Grid const& grid, Arguments const& arguments) const {
        cudaLaunchAttribute attribute{};
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim.x = static_cast<unsigned>(grid.cluster);
        attribute.val.clusterDim.y = 1;
        attribute.val.clusterDim.z = 1;
        cudaLaunchConfig_t config{};
        config.gridDim = gridOf(grid.blocks);
        config.blockDim = dim3(static_cast<unsigned>(grid.threads));
        config.stream = stream;
        config.attrs = &attribute;
        config.numAttrs = grid.cluster > 1 ? 1 : 0;
        Arguments copy = arguments;
        void* pointers[] = {&copy};
        auto const* kernel = reinterpret_cast<void const*>(simamKernel<Body, Arguments>);
        return cudaLaunchKernelExC(&config, kernel, pointers);
    }

    // x holds at most 2^31 - 1 blocks and whole clusters; bodies pass over blocks beyond the last.
    static dim3 gridOf(int64_t blocks) {
        constexpr int64_t kMost = int64_t{1} << 30;
        int64_t const x = std::min(blocks, kMost);
        return dim3(static_cast<unsigned>(x), static_cast<unsigned>((blocks + x - 1) / x));
    }
};

}  // namespace simam
