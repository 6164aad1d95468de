// The kernels of one element type: a translation unit each, so that they compile side by side.
#pragma once

#include <cuda_runtime_api.h>

#include "choose.h"

namespace simam {

cudaError_t enqueueFloat(Choice const& choice, Params const& params, void* workspace,
                         cudaStream_t stream);
cudaError_t enqueueHalf(Choice const& choice, Params const& params, void* workspace,
                        cudaStream_t stream);
cudaError_t enqueueBFloat16(Choice const& choice, Params const& params, void* workspace,
                            cudaStream_t stream);

// Whether the code that the current device runs has clusters: compute capability 9.0 and later,
// unless it was compiled from an older architecture's PTX.
cudaError_t queryClusters(bool& clusters);

}  // namespace simam
