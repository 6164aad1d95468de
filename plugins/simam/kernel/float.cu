#include "cuda_launcher.cuh"
#include "dispatch.h"
#include "enqueue.h"

namespace simam {

cudaError_t enqueueFloat(Choice const& choice, Params const& params, void* workspace,
                         cudaStream_t stream) {
    CudaLauncher launcher{stream};
    return enqueue<Float>(launcher, choice, params, workspace);
}

// Any kernel tells: all were compiled for the same architectures.
cudaError_t queryClusters(bool& clusters) {
    cudaFuncAttributes attributes{};
    auto const* kernel =
        reinterpret_cast<void const*>(simamKernel<PlaneByBlock<Float>, Arguments>);
    cudaError_t const status = cudaFuncGetAttributes(&attributes, kernel);
    clusters = status == cudaSuccess && attributes.ptxVersion >= 90;
    return status;
}

}  // namespace simam
