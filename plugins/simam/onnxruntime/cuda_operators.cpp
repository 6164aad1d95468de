#include "cuda_operators.h"

#include "../kernel/simam.h"

namespace simam::ort {
namespace {

// What a map may be of there.
struct Element {
    cpu::Type declared;
    Type computed;
};
constexpr Element kElements[] = {{cpu::Type::kFloat, Type::kFloat},
                                 {cpu::Type::kHalf, Type::kHalf},
                                 {cpu::Type::kBfloat16, Type::kBFloat16}};

OrtStatus* checked(cudaError_t status) {
    if (status == cudaSuccess) return nullptr;
    return api->CreateStatus(ORT_EP_FAIL, cudaGetErrorString(status));
}

Params params_of(Kernel const& kernel, Given const& given, void* y) {
    Params params{};
    params.x = given.x;
    params.y = y;
    params.residual = given.residual;
    params.scale = given.scale;
    params.bias = given.bias;
    params.n = given.dims[0];
    params.c = params.pitch = given.channels;
    params.hw = given.hw();
    params.lambda = kernel.lambda;
    params.clipMin = kernel.low;
    params.clipMax = kernel.high;
    return params;
}

// Enqueues the kernel between taking its workspace and giving it back. Both are of the stream's own
// order: an arena's block could be given to another stream while this one still writes there.
OrtStatus* enqueue(Params const& params, Type type, cudaStream_t stream) {
    std::size_t const bytes = workspaceSize(params, type, Layout::kNCHW);
    void* workspace = nullptr;
    cudaError_t status = bytes ? cudaMallocAsync(&workspace, bytes, stream) : cudaSuccess;
    if (status != cudaSuccess) return checked(status);
    status = launch(params, type, Layout::kNCHW, workspace, stream);
    cudaError_t const freed = workspace ? cudaFreeAsync(workspace, stream) : cudaSuccess;
    return checked(status != cudaSuccess ? status : freed);
}

template <std::size_t number>
OrtStatus* ORT_API_CALL compute(void* self, OrtKernelContext* context) {
    auto const& kernel = *static_cast<Kernel const*>(self);
    Given given;
    void *y = nullptr, *stream = nullptr;
    OrtStatus* const failed =
        Status()
            .then([&] { return begin(context, kernel, given, y); })
            .then([&] { return api->KernelContext_GetGPUComputeStream(context, &stream); })
            .status();
    if (failed || given.size() == 0) return failed;
    return enqueue(params_of(kernel, given, y), kElements[number].computed,
                   static_cast<cudaStream_t>(stream));
}

template <std::size_t number>
Operator on_cuda(Kind kind) {
    Operator op = declared(kind, kElements[number].declared, false);
    op.GetExecutionProviderType = [](OrtCustomOp const*) { return "CUDAExecutionProvider"; };
    op.KernelComputeV2 = compute<number>;
    return op;
}

}  // namespace

std::size_t declare_cuda(Operator (&operators)[kCudaOperators]) {
    Operator* next = operators;
    for (Kind kind : kKinds) {
        *next++ = on_cuda<0>(kind);
        *next++ = on_cuda<1>(kind);
        *next++ = on_cuda<2>(kind);
    }
    return kCudaOperators;
}

}  // namespace simam::ort
