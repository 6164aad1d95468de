// What a bin of a RoI reads along one axis: pixels and their weights.
#pragma once

#include "../kernel/element.h"
#include "params.h"

namespace simam {

// One side of a RoI on its map.
struct Axis {
    float start;
    float bin;        // Its length in pixels of the map.
    float samples;    // A bin; a whole number.
    int32_t pixels;   // Of the map.
    int32_t stride;   // From pixel to pixel, in elements.
};

// What a bin reads along one axis.
struct Tap {
    int32_t offset;  // In elements.
    float weight;
};

// The samples [first, last) of a bin that lie on the map, or off it by a pixel at most.
struct Inside {
    int32_t first;
    int32_t last;
};

// Where in the map sample i of a bin lies: each operation rounded by itself, and not less for a
// larger i.
template <class Thread>
SIMAM_BODY float sampleAt(Axis const& axis, int32_t bin, int32_t i) {
    float const from = axis.start + Thread::product(static_cast<float>(bin), axis.bin);
    float const step = Thread::product(static_cast<float>(i) + 0.5f, axis.bin);
    return from + Thread::quotient(step, axis.samples);
}

// How many of a bin's samples lie under `limit`, or at it if that is counted, too.
template <class Thread>
SIMAM_BODY int32_t countUnder(Axis const& axis, int32_t bin, float limit, bool counted) {
    int32_t low = 0;
    auto high = static_cast<int32_t>(axis.samples);
#pragma unroll 1
    while (low < high) {
        int32_t const middle = (low + high) / 2;
        float const at = sampleAt<Thread>(axis, bin, middle);
        if (at < limit || (counted && at == limit)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

template <class Thread>
SIMAM_BODY Inside insideOf(Axis const& axis, int32_t bin) {
    return {countUnder<Thread>(axis, bin, -1.f, false),
            countUnder<Thread>(axis, bin, static_cast<float>(axis.pixels), true)};
}

// Adds to what a pixel weighs. Samples come in rising order, so that it is one of the last two.
SIMAM_BODY int32_t addTap(Tap* taps, int32_t count, int32_t offset, float weight) {
#pragma unroll
    for (int32_t back = 1; back <= 2; ++back) {
        if (count >= back && taps[count - back].offset == offset) {
            taps[count - back].weight += weight;
            return count;
        }
    }
    taps[count] = {offset, weight};
    return count + 1;
}

// Lays out what samples [first, last) of a bin read; at most two taps a sample.
template <class Thread>
SIMAM_BODY int32_t layTaps(Axis const& axis, int32_t bin, int32_t first, int32_t last, Tap* taps) {
    int32_t count = 0;
#pragma unroll 1
    for (int32_t i = first; i < last; ++i) {
        float const at = sampleAt<Thread>(axis, bin, i);
        auto const floor = static_cast<int32_t>(at < 0.f ? 0.f : at);
        int32_t const low = floor < axis.pixels ? floor : axis.pixels - 1;
        float const share = at > 0.f && low < axis.pixels - 1 ? at - static_cast<float>(low) : 0.f;
        count = addTap(taps, count, low * axis.stride, 1.f - share);
        if (share > 0.f) count = addTap(taps, count, (low + 1) * axis.stride, share);
    }
    return count;
}

// Along an axis of which the RoI covers [from, to) in pixels of the image.
template <class Thread>
SIMAM_BODY Axis axisOf(AlignParams const& params, float from, float to, float scale) {
    float const start = Thread::product(from, scale) - 0.5f;
    float const end = Thread::product(to, scale) - 0.5f;
    float const bin = Thread::quotient(end - start, static_cast<float>(params.bins));
    float const samples = params.ratio > 0 ? static_cast<float>(params.ratio) : Thread::ceil(bin);
    return {start, bin, samples, 0, 0};
}

}  // namespace simam
