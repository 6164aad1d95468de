// Sizes of a node's inputs, and values, held against what its operator wants.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace simam {

inline std::vector<nvinfer1::Dims> dimsOf(nvinfer1::PluginTensorDesc const* tensors,
                                          int32_t count) {
    std::vector<nvinfer1::Dims> dims;
    for (int32_t i = 0; i < count; ++i) {
        dims.push_back(tensors[i].dims);
    }
    return dims;
}

inline std::vector<nvinfer1::Dims> dimsOf(nvinfer1::DynamicPluginTensorDesc const* tensors,
                                          int32_t count) {
    std::vector<nvinfer1::Dims> dims;
    for (int32_t i = 0; i < count; ++i) {
        dims.push_back(tensors[i].desc.dims);
    }
    return dims;
}

// Two sizes, of which one that is not known yet is below 0.
inline bool agree(int64_t a, int64_t b) { return a == b || a < 0 || b < 0; }

inline void checkWhole(char const* name, int32_t value, int32_t least, int32_t most) {
    if (value < least || value > most) {
        throw std::invalid_argument(std::string(name) + " must be " + std::to_string(least) +
                                    " to " + std::to_string(most) + ", got " +
                                    std::to_string(value));
    }
}

}  // namespace simam
