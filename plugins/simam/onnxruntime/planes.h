// SimAM on a CPU, as the operators of ONNX Runtime call it. No ONNX Runtime types.
//
// Per plane (n, c) of hw pixels, as simam_deploy/op/contract.py defines it:
//
//     d = x - mean(x);  v = sum(d^2) / (hw - 1)
//     y = clamp(x * sigmoid(d^2 / (4 * (v + lambda)) + 0.5) * scale + bias + residual)
#pragma once

#include <cstdint>

namespace simam::cpu {

// Planes of one tensor, one after the other. scale and bias are of a channel each, or null;
// residual is of y's size, or null, and goes with them. y may be x. hw is 1 or more.
struct Job {
    float const* x;
    float* y;
    float const* scale;
    float const* bias;
    float const* residual;
    std::int64_t channels;
    std::int64_t hw;
    float lambda;
    float low;
    float high;
};

// Computes planes [first, last) of a job. No two calls touch the same plane.
using Planes = void (*)(Job const&, std::int64_t first, std::int64_t last);
void avx512(Job const&, std::int64_t first, std::int64_t last);
void avx2(Job const&, std::int64_t first, std::int64_t last);
void plain(Job const&, std::int64_t first, std::int64_t last);

// Computes blocks [first, last) of a job in the layout of ONNX Runtime's own convolutions: of
// `block` channels, 8 or 16, one pixel after the other, and of an image as many blocks as hold its
// channels. The last may have lanes behind those: they are written as 0, whatever they held.
using Blocks = void (*)(Job const&, std::int64_t block, std::int64_t first, std::int64_t last);
void avx512_blocks(Job const&, std::int64_t block, std::int64_t first, std::int64_t last);
void avx2_blocks(Job const&, std::int64_t block, std::int64_t first, std::int64_t last);
void plain_blocks(Job const&, std::int64_t block, std::int64_t first, std::int64_t last);

// One way to compute, and whether this machine can.
struct Way {
    char const* name;
    Planes planes;
    Blocks blocks;
    bool (*runs)();
};

// The ways of this library, the fastest first; the last runs anywhere.
extern Way const kWays[];
extern int const kWayCount;

// The first that runs here.
Way const& best();

}  // namespace simam::cpu
