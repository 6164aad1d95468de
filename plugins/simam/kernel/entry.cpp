// The C entry of a shared library: simam_deploy.op.torch calls it through ctypes.
#include "simam.h"

#if defined(__GNUC__)
#define SIMAM_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define SIMAM_EXPORT extern "C" __declspec(dllexport)
#endif

// Counted up whenever a signature or a field of Params changes.
SIMAM_EXPORT int simam_abi_version() { return 1; }

SIMAM_EXPORT size_t simam_workspace_size(simam::Params const* params, int type, int layout) {
    return simam::workspaceSize(*params, static_cast<simam::Type>(type),
                                static_cast<simam::Layout>(layout));
}

// Returns a cudaError_t: 0 is success.
SIMAM_EXPORT int simam_launch(simam::Params const* params, int type, int layout, void* workspace,
                              void* stream) {
    return simam::launch(*params, static_cast<simam::Type>(type),
                         static_cast<simam::Layout>(layout), workspace,
                         static_cast<cudaStream_t>(stream));
}

SIMAM_EXPORT char const* simam_error_text(int status) {
    return cudaGetErrorString(static_cast<cudaError_t>(status));
}
