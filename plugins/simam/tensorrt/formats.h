// Which layouts of maps are offered to the builder; the kernels themselves take all of them.
//
// A library is built for one flavour, with one of the two definitions of `offers`. A run-time
// test would have to guess: nothing that TensorRT hands to a plugin names the flavour, both
// count versions from 1 on, and one process may hold both.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>

#include "kernel/params.h"

namespace simam {

bool offers(nvinfer1::DataType type, nvinfer1::TensorFormat format) noexcept;

// What the kernels call them; of types and formats that are offered.
inline Type typeOf(nvinfer1::DataType type) noexcept {
    using nvinfer1::DataType;
    return type == DataType::kFLOAT  ? Type::kFloat
           : type == DataType::kHALF ? Type::kHalf
                                     : Type::kBFloat16;
}

inline Layout layoutOf(nvinfer1::TensorFormat format) noexcept {
    return format == nvinfer1::TensorFormat::kLINEAR ? Layout::kNCHW : Layout::kNHWC;
}

// From pixel to pixel in elements, of formats that have the channels last.
inline int64_t pitchOf(int64_t channels, nvinfer1::TensorFormat format) noexcept {
    return format == nvinfer1::TensorFormat::kHWC8 ? (channels + 7) / 8 * 8 : channels;
}

}  // namespace simam
