// Planes of other types than float32: computed in float32, as the operators' contract has it.
#pragma once

#include "planes.h"

namespace simam::cpu {

enum class Type { kFloat, kHalf, kBfloat16, kDouble };

// A job whose x, y and residual are of a type; those of `job` are not looked at.
struct TypedJob {
    Job job;
    Type type;
    void const* x;
    void* y;
    void const* residual;
};

// Computes planes [first, last); takes memory for a plane or two of float32, and tells whether there
// was any.
bool typed_planes(Way const& way, TypedJob const& typed, std::int64_t first, std::int64_t last);

}  // namespace simam::cpu
