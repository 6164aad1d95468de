// The three operators of the contract, simam_deploy/op/contract.py: names, inputs and attributes.
#pragma once

#include <array>
#include <cfloat>
#include <cstdint>

#include "fields.h"

namespace simam {

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

enum Index : size_t { kLambda, kClipMin, kClipMax };

inline constexpr std::array<char const*, 3> kAttributeNames{"e_lambda", "clip_min", "clip_max"};

// By Index. What an operator lacks bounds nothing.
using Numbers = std::array<float, 3>;
inline constexpr Numbers kUnbounded{0.0F, -FLT_MAX, FLT_MAX};

Attributes attributesOf(Operator const& op);

// Throws std::invalid_argument where a value is not what the contract wants.
Numbers numbersOf(Values const& values);

}  // namespace simam
