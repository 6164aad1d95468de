// The fused SimAM kernel: what a caller sees. No TensorRT types.
//
// Per plane (n, c) of hw pixels, as simam_deploy/op.py defines it:
//
//     d = x - mean(x);  v = sum(d^2) / (hw - 1)
//     y = clamp(x * sigmoid(d^2 / (4 * (v + lambda)) + 0.5) * scale + bias + residual)
//
// with float32 statistics and arithmetic whatever the type of the tensors. One read and one
// write of the tensor wherever a plane fits a thread block or, from compute capability 9.0, a
// cluster of them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace simam {

// Of x, residual and y alike.
enum class Type : int32_t { kFloat, kHalf, kBFloat16 };

// kNCHW: planes of hw consecutive elements, plane after plane.
// kNHWC: pixels of `pitch` consecutive elements, of which the first c are channels.
enum class Layout : int32_t { kNCHW, kNHWC };

// Pointers are to device memory. x, y and residual hold n * c * hw elements (NHWC: n * hw *
// pitch) and lie on addresses that are multiples of 16 bytes, as any allocation's do.
struct Params {
    void const* x;
    void* y;               // Overlaps neither x nor residual.
    void const* residual;  // Of x's type and layout, or null: nothing is added.
    float const* scale;    // (c,); null if and only if bias is: factor 1 and summand 0.
    float const* bias;     // (c,)
    int64_t n;
    int64_t c;
    int64_t hw;      // H * W. 1 divides by zero: that plane's result is not a number.
    int64_t pitch;   // NHWC: from pixel to pixel, c or c rounded up to 8. NCHW: not read.
    float lambda;    // Finite, not negative.
    float clipMin;   // -FLT_MAX and FLT_MAX bound nothing but infinities.
    float clipMax;
};

// Bytes of device memory that `launch` may use for these sizes *and all smaller ones*, on any
// device: a caller with dynamic shapes asks once, with the largest. 0 where a plane is never
// split over blocks. Of Params only n, c, hw and pitch are read.
size_t workspaceSize(Params const& params, Type type, Layout layout) noexcept;

// Enqueues the kernel (two where a plane is split) on `stream`, on the current device. Allocates
// nothing, waits for nothing, may be captured into a CUDA graph. An empty tensor (n, c or hw 0)
// enqueues nothing. `workspace` is of workspaceSize bytes, on an address that is a multiple of
// 16, and may be null where that is 0; two launches that can run at the same time want one each.
//
// NHWC with pitch > c: lanes c to pitch - 1 of y are written as zero, those of x not relied on.
//
// Returns cudaErrorInvalidValue, with nothing enqueued, for a null or misaligned pointer, a
// negative size, a pitch that is neither, half an epilogue or a lambda that is negative or not
// finite; otherwise what the launch returned.
cudaError_t launch(Params const& params, Type type, Layout layout, void* workspace,
                   cudaStream_t stream) noexcept;

}  // namespace simam
