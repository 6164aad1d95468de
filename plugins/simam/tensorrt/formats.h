// Which layouts of x are offered to the builder; the kernel itself takes all of them.
//
// A library is built for one flavour, with one of the two definitions of `offers`. A run-time
// test would have to guess: nothing that TensorRT hands to a plugin names the flavour, both
// count versions from 1 on, and one process may hold both.
#pragma once

#include <NvInferRuntime.h>

namespace simam {

bool offers(nvinfer1::DataType type, nvinfer1::TensorFormat format) noexcept;

}  // namespace simam
