// What every kernel is launched with.
#pragma once

#include "params.h"

namespace simam {

// Of a slice of a plane: its mean, and the sum of squared deviations from that mean.
struct Partial {
    float mean;
    float m2;
};

// What follows SimAM. kResidual is kAffine with a residual. kAny is whichever params ask for, where
// the rest of a kernel hides the question.
enum class Epilogue : int32_t { kNone, kAffine, kResidual, kAny };

struct Arguments {
    Params params;
    Partial* partials;  // Between the two kernels of a split plane.
    int32_t slices;     // Blocks to a split plane or tile.
    Epilogue epilogue;
};

constexpr int kAsCompiled = 0;  // For kMinBlocks, blocks on a multiprocessor: no wish.
constexpr int kMaxCluster = 8;  // The largest that every architecture with clusters has.

}  // namespace simam
