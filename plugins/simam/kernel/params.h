// What the fused SimAM kernel computes on, without CUDA's or TensorRT's types.
#pragma once

#include <cstdint>

namespace simam {

// Of x, residual and y alike.
enum class Type : int32_t { kFloat, kHalf, kBFloat16 };

// kNCHW: planes of hw consecutive elements, plane after plane.
// kNHWC: pixels of `pitch` consecutive elements, of which the first c are channels.
enum class Layout : int32_t { kNCHW, kNHWC };

// Pointers are to device memory. x, y and residual hold n * c * hw elements (NHWC: n * hw *
// pitch) and lie on addresses that are multiples of 16 bytes, as any allocation's do.
struct Params {
    void const* x;
    void* y;               // Overlaps neither x nor residual.
    void const* residual;  // Of x's type and layout, or null: nothing is added.
    float const* scale;    // (c,); null if and only if bias is: factor 1 and summand 0.
    float const* bias;     // (c,)
    int64_t n;
    int64_t c;
    int64_t hw;     // H * W, under 2^30. 1 divides by zero: each pixel's result is NaN.
    int64_t pitch;  // NHWC: from pixel to pixel, c or c rounded up to 8. NCHW: not read.
    float lambda;   // Finite, not negative.
    float clipMin;  // With no scale, no residual and bounds of -FLT_MAX and FLT_MAX nothing is
    float clipMax;  // clipped; otherwise infinities are. NaN passes through.
};

}  // namespace simam
