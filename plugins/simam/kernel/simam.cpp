#include "simam.h"

#include "arguments.h"
#include "check.h"
#include "enqueue.h"

namespace simam {
namespace {

cudaError_t describe(Device& device) {
    int ordinal = 0;
    cudaError_t status = cudaGetDevice(&ordinal);
    if (status != cudaSuccess) return status;
    status = cudaDeviceGetAttribute(&device.multiprocessors, cudaDevAttrMultiProcessorCount,
                                    ordinal);
    if (status != cudaSuccess) return status;
    return queryClusters(device.clusters);
}

}  // namespace

size_t workspaceSize(Params const& params, Type type, Layout layout) noexcept {
    return static_cast<size_t>(countPartials(params, type, layout)) * sizeof(Partial);
}

cudaError_t launch(Params const& params, Type type, Layout layout, void* workspace,
                   cudaStream_t stream) noexcept {
    if (!isValid(params, type, layout, workspace)) return cudaErrorInvalidValue;
    if (params.n == 0 || params.c == 0 || params.hw == 0) return cudaSuccess;
    Device device{};
    cudaError_t const status = describe(device);
    if (status != cudaSuccess) return status;
    Choice const choice = choose(params, type, layout, device);
    switch (type) {
        case Type::kFloat:
            return enqueueFloat(choice, params, workspace, stream);
        case Type::kHalf:
            return enqueueHalf(choice, params, workspace, stream);
        case Type::kBFloat16:
            return enqueueBFloat16(choice, params, workspace, stream);
    }
    return cudaErrorInvalidValue;
}

}  // namespace simam
