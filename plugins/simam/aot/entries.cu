// The kernels that TensorRT's ahead-of-time plugins launch, as PTX: simam_deploy/engine/build/aot.py.
//
// TensorRT hands over a pointer for each input, then the extra arguments, which can only be
// integers, then a pointer for the output. So the attributes are constants of the module, whose
// values are written into the PTX; what stands here are those of an operator that has none.
#include <limits>

#include "cuda_thread.cuh"
#include "whole.h"

extern "C" {
__constant__ float e_lambda = 0.f;
__constant__ float clip_min = -std::numeric_limits<float>::infinity();
__constant__ float clip_max = std::numeric_limits<float>::infinity();
}

namespace simam {
namespace {

struct Inputs {
    void const* x;
    float const* scale;
    float const* bias;
    void const* residual;
};

struct Sizes {
    int n, c, hw;
};

template <class Body, Epilogue kEpilogue>
__device__ __forceinline__ void run(Inputs const& inputs, Sizes const& sizes, int pitch, void* y) {
    __shared__ typename Body::Shared shared;
    Params const params{inputs.x, y,        inputs.residual, inputs.scale, inputs.bias, sizes.n,
                        sizes.c,  sizes.hw, pitch,           e_lambda,     clip_min,    clip_max};
    Body::run(CudaThread{}, shared, Arguments{params, nullptr, 1, kEpilogue});
}

}  // namespace
}  // namespace simam

// An entry for each operator, named after it, the type and TensorRT's layout.
#define SIMAM_ENTRIES(SUFFIX, BODY, PITCH)                                                         \
    extern "C" __global__ void __launch_bounds__(BODY::kMaxThreads)                                \
        SimAM_##SUFFIX(void const* x, int n, int c, int hw, void* y) {                             \
        simam::run<BODY, simam::Epilogue::kNone>({x, nullptr, nullptr, nullptr}, {n, c, hw},       \
                                                 PITCH, y);                                        \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(BODY::kMaxThreads)                                \
        SimAMEpilogue_##SUFFIX(void const* x, float const* scale, float const* bias, int n, int c, \
                               int hw, void* y) {                                                  \
        simam::run<BODY, simam::Epilogue::kAffine>({x, scale, bias, nullptr}, {n, c, hw}, PITCH,   \
                                                   y);                                             \
    }                                                                                              \
    extern "C" __global__ void __launch_bounds__(BODY::kMaxThreads)                                \
        SimAMResidualEpilogue_##SUFFIX(void const* x, float const* scale, float const* bias,       \
                                       void const* residual, int n, int c, int hw, void* y) {      \
        simam::run<BODY, simam::Epilogue::kResidual>({x, scale, bias, residual}, {n, c, hw},       \
                                                     PITCH, y);                                    \
    }

SIMAM_ENTRIES(FP32_LINEAR, simam::WholePlane<simam::Float>, c)
SIMAM_ENTRIES(FP16_LINEAR, simam::WholePlane<simam::Half>, c)
SIMAM_ENTRIES(BF16_LINEAR, simam::WholePlane<simam::BFloat16>, c)
SIMAM_ENTRIES(FP16_HWC8, simam::WholeTile<simam::Half>, (c + 7) / 8 * 8)
SIMAM_ENTRIES(BF16_HWC8, simam::WholeTile<simam::BFloat16>, (c + 7) / 8 * 8)
