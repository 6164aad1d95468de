#include "cuda_launcher.cuh"
#include "dispatch.h"
#include "enqueue.h"

namespace simam {

cudaError_t enqueueFloat(Choice const& choice, Arguments const& arguments, cudaStream_t stream) {
    CudaLauncher launcher{stream};
    return enqueue<Float>(launcher, choice, arguments);
}

// Any kernel tells: all were compiled for the same architectures.
cudaError_t queryClusters(bool& clusters) {
    using Body = PlaneBody<Float, kBlock512.threads, kBlock512.held, Epilogue::kNone>;
    cudaFuncAttributes attributes{};
    auto const* kernel = reinterpret_cast<void const*>(simamKernel<Body>);
    cudaError_t const status = cudaFuncGetAttributes(&attributes, kernel);
    clusters = status == cudaSuccess && attributes.ptxVersion >= 90;
    return status;
}

}  // namespace simam
