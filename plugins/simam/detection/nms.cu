#include "../kernel/cuda_launcher.cuh"
#include "check.h"
#include "detection.h"
#include "dispatch.h"

namespace simam {

size_t nmsWorkspaceSize(int64_t batch, int64_t boxes) noexcept {
    bool const some = batch > 0 && boxes > 0 && boxes <= kMostBoxes;
    return some ? static_cast<size_t>(nmsBytes(batch, boxes)) : 0;
}

cudaError_t launchNms(NmsParams const& params, void* workspace, cudaStream_t stream) noexcept {
    if (!isValid(params, workspace)) return cudaErrorInvalidValue;
    if (isEmpty(params)) return cudaSuccess;
    CudaLauncher launcher{stream};
    return enqueueNms(launcher, params, workspace);
}

}  // namespace simam
