// The kernels of a detector's two operators: what a caller sees. No TensorRT types.
//
// simam_deploy/op/detection.py defines them: MultilevelRoIAlign reads each RoI from one map of a
// pyramid, BatchedNMS is greedy within groups. Whatever decides (a RoI's map, how many samples a
// bin has and whether they lie on the map, the order of boxes and whether two overlap) is float32
// arithmetic, each operation rounded by itself: the same everywhere, to the bit.
//
// Both enqueue on `stream`, on the current device; they allocate nothing, wait for nothing, may be
// captured into a CUDA graph, and give the same result each time. Empty tensors enqueue nothing.
// Each returns cudaErrorInvalidValue, with nothing enqueued, for params that check.h refuses;
// otherwise what the first launch that failed returned.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "params.h"

namespace simam {

// One kernel, without a workspace.
cudaError_t launchAlign(AlignParams const& params, Type type, cudaStream_t stream) noexcept;

// Bytes of device memory that `launchNms` uses for so many boxes, and for any fewer: of 5000 boxes
// 3.3 MB a batch entry. 0 where there are more than kMostBoxes, or none.
size_t nmsWorkspaceSize(int64_t batch, int64_t boxes) noexcept;

// Three kernels. The workspace is of nmsWorkspaceSize bytes, on an address that is a multiple of
// 16; two launches that can run at the same time want one each.
cudaError_t launchNms(NmsParams const& params, void* workspace, cudaStream_t stream) noexcept;

}  // namespace simam
