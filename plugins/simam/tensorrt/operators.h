// The three operators of the contract, simam_deploy/op/contract.py: names, inputs and attributes.
#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <cfloat>
#include <cstdint>

namespace simam {

inline constexpr char const* kNamespace = "simam";
inline constexpr char const* kVersion = "1";

struct Operator {
    char const* name;
    int32_t inputs;      // The first so many of x, scale, bias, residual.
    int32_t attributes;  // The first so many of kAttributeNames.
};

inline constexpr std::array<Operator, 3> kOperators{{
    {"SimAM", 1, 1},
    {"SimAMEpilogue", 3, 3},
    {"SimAMResidualEpilogue", 4, 3},
}};

enum Input : int32_t { kX, kScale, kBias, kResidual };

enum Attribute : int32_t { kLambda, kClipMin, kClipMax };

inline constexpr std::array<char const*, 3> kAttributeNames{"e_lambda", "clip_min", "clip_max"};

// By Attribute. What an operator lacks bounds nothing.
using Attributes = std::array<float, 3>;
inline constexpr Attributes kUnbounded{0.0F, -FLT_MAX, FLT_MAX};

// Reads an operator's attributes: each exactly once, one float32, nothing else beside them.
// Throws std::invalid_argument with what is wrong.
Attributes parseAttributes(Operator const& op, nvinfer1::PluginFieldCollection const* fields);

}  // namespace simam
