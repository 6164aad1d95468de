// The operators for ONNX Runtime's CUDA provider, by the kernels of the plugin.
#pragma once

#include "node.h"

namespace simam::ort {

constexpr std::size_t kCudaOperators = 9;

// Declares what there is of them, from `operators` on, and tells how many: none in a library that is
// built without CUDA (no_cuda.cpp).
std::size_t declare_cuda(Operator (&operators)[kCudaOperators]);

}  // namespace simam::ort
