// Starts a body as a CUDA kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "arguments.h"
#include "choose.h"
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

template <class Body>
__global__ void __launch_bounds__(Body::kMaxThreads, minBlocks<Body>())
    simamKernel(__grid_constant__ Arguments const arguments) {
    __shared__ typename Body::Shared shared;
    Body::run(CudaThread{}, shared, arguments);
}

struct CudaLauncher {
    static constexpr cudaError_t kSuccess = cudaSuccess;
    cudaStream_t stream;

    template <class Body>
    cudaError_t run(Choice const& choice, Arguments const& arguments) const {
        cudaLaunchAttribute attribute{};
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim.x = static_cast<unsigned>(choice.cluster);
        attribute.val.clusterDim.y = 1;
        attribute.val.clusterDim.z = 1;
        cudaLaunchConfig_t config{};
        config.gridDim = gridOf(choice.blocks);
        config.blockDim = dim3(static_cast<unsigned>(choice.threads));
        config.stream = stream;
        config.attrs = &attribute;
        config.numAttrs = choice.cluster > 1 ? 1 : 0;
        Arguments copy = arguments;
        void* pointers[] = {&copy};
        return cudaLaunchKernelExC(&config, reinterpret_cast<void const*>(simamKernel<Body>),
                                   pointers);
    }

    // x holds at most 2^31 - 1 blocks and whole clusters; bodies pass over blocks beyond the last.
    static dim3 gridOf(int64_t blocks) {
        constexpr int64_t kMost = int64_t{1} << 30;
        int64_t const x = std::min(blocks, kMost);
        return dim3(static_cast<unsigned>(x), static_cast<unsigned>((blocks + x - 1) / x));
    }
};

}  // namespace simam
