// The fused SimAM kernel: what a caller sees. No TensorRT types.
//
// Per plane (n, c) of hw pixels, as simam_deploy/op/contract.py defines it:
//
//     d = x - mean(x);  v = sum(d^2) / (hw - 1)
//     y = clamp(x * sigmoid(d^2 / (4 * (v + lambda)) + 0.5) * scale + bias + residual)
//
// with float32 statistics and arithmetic whatever the type of the tensors. One read and one
// write of the tensor wherever a plane fits a thread block or, from compute capability 9.0, a
// cluster of them; two reads and one write beyond.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "params.h"

namespace simam {

// Bytes of device memory that `launch` may use for these sizes *and for any smaller n and hw*, on
// any device: a caller with dynamic shapes asks once, with the largest. 0 where a plane is never
// split over two kernels. Of Params only n, c, hw and pitch are read.
size_t workspaceSize(Params const& params, Type type, Layout layout) noexcept;

// Enqueues the kernel (two where a plane is split) on `stream`, on the current device. Allocates
// nothing, waits for nothing, may be captured into a CUDA graph. An empty tensor (n, c or hw 0)
// enqueues nothing. `workspace` is of workspaceSize bytes, on an address that is a multiple of
// 16, and may be null where that is 0; two launches that can run at the same time want one each.
//
// NHWC with pitch > c: lanes c to pitch - 1 of y are written as zero, those of x not relied on.
//
// Returns cudaErrorInvalidValue, with nothing enqueued, for a null or misaligned pointer, a
// negative size, an hw of 2^30 or more, a pitch that is neither, half an epilogue or a lambda that is negative or not
// finite; otherwise what the launch returned.
cudaError_t launch(Params const& params, Type type, Layout layout, void* workspace,
                   cudaStream_t stream) noexcept;

}  // namespace simam
