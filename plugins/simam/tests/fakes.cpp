#include "fakes.h"

Kernel kernel;

// 7 bytes an element: nothing a caller could arrive at by itself.
size_t simam::workspaceSize(Params const& params, Type type, Layout layout) noexcept {
    kernel.workspaces.push_back({params, type, layout, nullptr, nullptr});
    return static_cast<size_t>(7 * params.n * params.c * params.hw);
}

cudaError_t simam::launch(Params const& params, Type type, Layout layout, void* workspace,
                          cudaStream_t stream) noexcept {
    kernel.launches.push_back({params, type, layout, workspace, stream});
    return kernel.answer;
}

cudaError_t simam::launchAlign(AlignParams const& params, Type type, cudaStream_t stream) noexcept {
    kernel.aligns.push_back({params, type, nullptr, stream});
    return kernel.answer;
}

size_t simam::nmsWorkspaceSize(int64_t batch, int64_t boxes) noexcept {
    return static_cast<size_t>(7 * batch * boxes);
}

cudaError_t simam::launchNms(NmsParams const& params, void* workspace,
                             cudaStream_t stream) noexcept {
    kernel.suppressions.push_back({params, {}, workspace, stream});
    return kernel.answer;
}

extern "C" char const* CUDARTAPI cudaGetErrorString(cudaError_t) { return "told by the runtime"; }
