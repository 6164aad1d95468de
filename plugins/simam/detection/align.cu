#include "../kernel/cuda_launcher.cuh"
#include "check.h"
#include "detection.h"
#include "dispatch.h"

namespace simam {

cudaError_t launchAlign(AlignParams const& params, Type type, cudaStream_t stream) noexcept {
    if (!isValid(params)) return cudaErrorInvalidValue;
    if (isEmpty(params)) return cudaSuccess;
    CudaLauncher launcher{stream};
    return enqueueAlign(launcher, params, type);
}

}  // namespace simam
