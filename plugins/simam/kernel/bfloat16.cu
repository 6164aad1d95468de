#include "cuda_launcher.cuh"
#include "dispatch.h"
#include "enqueue.h"

namespace simam {

cudaError_t enqueueBFloat16(Choice const& choice, Params const& params, void* workspace,
                            cudaStream_t stream) {
    CudaLauncher launcher{stream};
    return enqueue<BFloat16>(launcher, choice, params, workspace);
}

}  // namespace simam
