// One node of SimAM's operators, whoever computes it: what it is declared as, and what it is given.
#pragma once

#include <cfloat>

#include "api.h"
#include "typed.h"

namespace simam::ort {

enum Kind { kPlain, kAffine, kResidual };
constexpr Kind kKinds[] = {kPlain, kAffine, kResidual};

struct Operator : OrtCustomOp {
    Kind kind;
    cpu::Type type;
    bool blocked;  // x, residual and y lie in blocks of channels, padded: (N, C padded, H, W)
};

// An operator of the contract's name and inputs; provider, computation and whether y may be x are
// the caller's to add.
Operator declared(Kind kind, cpu::Type type, bool blocked);

// What a node's attributes say.
struct Kernel {
    Kind kind;
    cpu::Type type;
    float lambda = 0, low = -FLT_MAX, high = FLT_MAX;
    std::int64_t block = 1, channels = 0;  // of a blocked node
};

// A run's inputs, which fit each other.
struct Given {
    std::int64_t dims[4];
    std::int64_t channels;
    void const* x;
    float const* scale;
    float const* bias;
    void const* residual;

    std::int64_t hw() const { return dims[2] * dims[3]; }
    std::int64_t size() const { return dims[0] * dims[1] * hw(); }
};

// Reads a run's inputs and makes room for its output.
OrtStatus* begin(OrtKernelContext* context, Kernel const& kernel, Given& given, void*& y);

}  // namespace simam::ort
