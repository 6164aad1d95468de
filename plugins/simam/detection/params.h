// What the kernels compute on, without CUDA's or TensorRT's types. Pointers are to device memory.
#pragma once

#include <cstdint>

#include "../kernel/params.h"

namespace simam {

constexpr int32_t kLevels = 4;
constexpr int32_t kMostBins = 128;  // Each way: four samples a bin fill a block's table.
constexpr int32_t kMostRatio = 128;
constexpr int64_t kMostBoxes = 16384;  // 32 MB of overlaps a batch entry.
constexpr float kNothing = -3.402823466e+38f;

// A map of the pyramid, (n, c, height, width), whose elements of one image are under 2^31.
struct Level {
    void const* x;
    int64_t height;
    int64_t width;
};

struct AlignParams {
    float const* rois;  // (n, r, 4), x1 y1 x2 y2 in pixels of the image.
    Level levels[kLevels];  // Of strides 4, 8, 16 and 32.
    void* y;  // (n * r, c, bins, bins), of the maps' type; a RoI's are under 2^31 elements.
    int64_t n;
    int64_t r;  // n * r is under 2^31.
    int64_t c;
    int64_t pitch;  // From pixel to pixel where a layout is NHWC, c or c rounded up to 8.
    Layout from;    // Of the maps.
    Layout to;      // Of y; NHWC only where the maps are.
    int32_t bins;   // Each way, 1 to kMostBins.
    int32_t ratio;  // Samples a bin each way, to kMostRatio; 0 is as many as a bin has pixels.
    float finest;   // finest_scale, above 0.
};

struct NmsParams {
    float const* boxes;   // (batch, count, 4), x1 y1 x2 y2.
    float const* scores;  // (batch, count); what is not above kNothing is no box.
    void const* groups;   // (batch, count), int64 or int32; what is in no group is never kept.
    float* kept;          // (batch, count)
    int64_t batch;       // Under 2^23, and under 2^31 blocks of 64 x 64 boxes in all.
    int64_t count;       // To kMostBoxes.
    int64_t groupCount;  // 1 to 2^31 - 1.
    float threshold;     // 0 to 1.
    bool wideGroups;     // int64.
};

}  // namespace simam
