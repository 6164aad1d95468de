// The C entries of a shared library: scripts/bench/gpu calls them through ctypes.
#include "detection.h"

#define SIMAM_EXPORT extern "C" __attribute__((visibility("default")))

// Each returns a cudaError_t: 0 is success.
SIMAM_EXPORT int simam_align(simam::AlignParams const* params, int type, void* stream) {
    return simam::launchAlign(*params, static_cast<simam::Type>(type),
                              static_cast<cudaStream_t>(stream));
}

SIMAM_EXPORT size_t simam_nms_workspace_size(int64_t batch, int64_t boxes) {
    return simam::nmsWorkspaceSize(batch, boxes);
}

SIMAM_EXPORT int simam_nms(simam::NmsParams const* params, void* workspace, void* stream) {
    return simam::launchNms(*params, workspace, static_cast<cudaStream_t>(stream));
}
