// The operators for ONNX Runtime's CPU provider.
#pragma once

#include "node.h"

namespace simam::ort {

constexpr std::size_t kCpuOperators = 12, kBlockedOperators = 3;

// In every type that a map may have.
void declare_cpu(Operator (&operators)[kCpuOperators]);

// In float32 and the layout of ONNX Runtime's own convolutions, with the attributes `block` and
// `channels`: no file that travels holds them.
void declare_blocked(Operator (&operators)[kBlockedOperators]);

}  // namespace simam::ort
