// Planes one after the other, once for every instruction set: included with SIMAM_LANES floats to a
// vector.
//
// Numbers: every plane is shifted by its first pixel before anything is summed, so that a mean of
// 1000 deviations costs no digits of the deviations (the sum of d^2 at mean/std = 1000 is then as
// exact as at 0); sums are carried in double from 4096 pixels on.

#include "vectors.h"

namespace {

constexpr int kLanes = SIMAM_LANES;
constexpr int kKept = 16;           // vectors of a plane that is held in registers
constexpr int kBlock = 4096;        // pixels that are summed in float

using Vec = Floats<kLanes>;
using Int = Ints<kLanes>;
using Plane = Gate<kLanes>;

template <int Lanes>
inline float sum(typename Of<Lanes>::Floats v) {
    if constexpr (Lanes == 1) {
        return v[0];
    } else {
        typename Of<Lanes / 2>::Floats low, high;
        __builtin_memcpy(&low, &v, sizeof low);
        __builtin_memcpy(&high, reinterpret_cast<char const*>(&v) + sizeof low, sizeof high);
        return sum<Lanes / 2>(low + high);
    }
}

// The mean as a float that is near it and what is left: x - centre is exact to the deviations'
// own digits, whatever the mean.
struct Mean {
    float centre, rest;
};

inline Mean mean_of(float shift, double moved, Inverse inverse) {
    double const mean = static_cast<double>(shift) + moved * inverse.pixels;
    auto const centre = static_cast<float>(mean);
    return {centre, static_cast<float>(mean - static_cast<double>(centre))};
}

// From the sum of (x - centre)^2, which is too large by hw rest^2.
inline void take_sums(Job const& job, Inverse inverse, Mean mean, double squares, Plane& plane) {
    double const rest = static_cast<double>(mean.rest);
    double const exact = squares - static_cast<double>(job.hw) * rest * rest;
    auto const v = static_cast<float>(exact * inverse.freedoms);
    float const a = __builtin_sqrtf(0.25F * kLog2e / (v + job.lambda));
    plane.a = all<kLanes>(a);
    plane.rest_a = all<kLanes>(mean.rest * a);
}

template <Kind kind>
inline void take_epilogue(Job const& job, std::int64_t channel, Plane& plane) {
    if constexpr (kind != kPlain) {
        plane.scale = all<kLanes>(job.scale[channel]);
        plane.bias = all<kLanes>(job.bias[channel]);
    }
}

// A plane of fewer pixels than a vector has lanes, in a copy.
template <Kind kind>
void tiny(Job const& job, Inverse inverse, std::int64_t number, std::int64_t channel) {
    std::int64_t const at = number * job.hw;
    auto const bytes = static_cast<__SIZE_TYPE__>(job.hw) * sizeof(float);
    Vec x{}, residual{};
    __builtin_memcpy(&x, job.x + at, bytes);
    if constexpr (kind == kResidual) __builtin_memcpy(&residual, job.residual + at, bytes);
    Int const there = lanes<kLanes>() < static_cast<std::int32_t>(job.hw);
    Plane plane;
    float const moved = sum<kLanes>(there ? x - x[0] : Vec{});
    Mean const mean = mean_of(x[0], static_cast<double>(moved), inverse);
    plane.centre = all<kLanes>(mean.centre);
    Vec const d = there ? x - plane.centre : Vec{};
    take_sums(job, inverse, mean, static_cast<double>(sum<kLanes>(d * d)), plane);
    take_epilogue<kind>(job, channel, plane);
    Vec const y = finished<kind, kLanes>(job, plane, x, residual);
    __builtin_memcpy(job.y + at, &y, bytes);
}

// A plane of at most kCount vectors, read once and held in registers. The last vector ends with the
// plane and overlaps the one before it: lanes that were counted there are left out of the sums.
template <Kind kind, int kCount>
void kept(Job const& job, Inverse inverse, std::int64_t number, std::int64_t channel) {
    std::int64_t const start = number * job.hw, last = job.hw - kLanes;
    float const* const in = job.x + start;
    Int const fresh = lanes<kLanes>() >= static_cast<std::int32_t>(kCount * kLanes - job.hw);
    Vec x[kCount];
    Plane plane;
    float const shift = in[0];
    Vec total{};
#pragma GCC unroll 16
    for (int i = 0; i < kCount - 1; ++i) {
        x[i] = load<kLanes>(in + i * kLanes);
        total += x[i] - shift;
    }
    Vec const end = x[kCount - 1] = load<kLanes>(in + last);
    total += fresh ? end - shift : Vec{};
    Mean const mean = mean_of(shift, static_cast<double>(sum<kLanes>(total)), inverse);
    plane.centre = all<kLanes>(mean.centre);
    Vec const end_d = fresh ? end - plane.centre : Vec{};
    Vec squares = end_d * end_d;
#pragma GCC unroll 16
    for (int i = 0; i < kCount - 1; ++i) {
        Vec const d = x[i] - plane.centre;
        squares += d * d;
    }
    take_sums(job, inverse, mean, static_cast<double>(sum<kLanes>(squares)), plane);
    take_epilogue<kind>(job, channel, plane);
    float* const out = job.y + start;
    float const* const beside = kind == kResidual ? job.residual + start : in;
    Vec const y = finished<kind, kLanes>(job, plane, x[kCount - 1], load<kLanes>(beside + last));
#pragma GCC unroll 16
    for (int i = 0; i < kCount - 1; ++i)
        store(out + i * kLanes, finished<kind, kLanes>(job, plane, x[i], load<kLanes>(beside + i * kLanes)));
    store(out + last, y);
}

// Sums f(vector) over a plane, whose last vector is masked as above.
template <typename F>
inline double summed(float const* in, std::int64_t hw, F const& f) {
    std::int64_t const full = hw - hw % kLanes;
    double total = 0.0;
    for (std::int64_t at = 0; at < full;) {
        std::int64_t const end = full - at < kBlock ? full : at + kBlock;
        Vec s[4] = {};
        for (; at + 4 * kLanes <= end; at += 4 * kLanes)
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) s[k] += f(load<kLanes>(in + at + k * kLanes));
        for (; at < end; at += kLanes) s[0] += f(load<kLanes>(in + at));
        total += static_cast<double>(sum<kLanes>((s[0] + s[1]) + (s[2] + s[3])));
    }
    if (full != hw) {
        Int const fresh = lanes<kLanes>() >= static_cast<std::int32_t>(full + kLanes - hw);
        total += static_cast<double>(sum<kLanes>(fresh ? f(load<kLanes>(in + hw - kLanes)) : Vec{}));
    }
    return total;
}

// A plane of any size, read three times: the second and third time from a cache, if it fits one.
template <Kind kind>
void large(Job const& job, Inverse inverse, std::int64_t number, std::int64_t channel) {
    std::int64_t const start = number * job.hw, last = job.hw - kLanes;
    float const* const in = job.x + start;
    Plane plane;
    float const shift = in[0];
    double const moved = summed(in, job.hw, [shift](Vec x) { return x - shift; });
    Mean const mean = mean_of(shift, moved, inverse);
    Vec const centre = plane.centre = all<kLanes>(mean.centre);
    double const squares = summed(in, job.hw, [centre](Vec x) {
        Vec const d = x - centre;
        return d * d;
    });
    take_sums(job, inverse, mean, squares, plane);
    take_epilogue<kind>(job, channel, plane);
    float* const out = job.y + start;
    float const* const beside = kind == kResidual ? job.residual + start : in;
    Vec const y = finished<kind, kLanes>(job, plane, load<kLanes>(in + last), load<kLanes>(beside + last));
    std::int64_t at = 0;
    for (; at + 2 * kLanes <= last; at += 2 * kLanes) {
        Vec const one = finished<kind, kLanes>(job, plane, load<kLanes>(in + at), load<kLanes>(beside + at));
        Vec const two = finished<kind, kLanes>(job, plane, load<kLanes>(in + at + kLanes),
                                       load<kLanes>(beside + at + kLanes));
        store(out + at, one);
        store(out + at + kLanes, two);
    }
    for (; at < last; at += kLanes)
        store(out + at, finished<kind, kLanes>(job, plane, load<kLanes>(in + at), load<kLanes>(beside + at)));
    store(out + last, y);
}

using One = void (*)(Job const&, Inverse, std::int64_t, std::int64_t);

template <Kind kind, int kCount = 1>
One chosen(std::int64_t hw) {
    if (hw < kLanes) return tiny<kind>;
    if constexpr (kCount > kKept) {
        return large<kind>;
    } else {
        return hw <= kCount * kLanes ? kept<kind, kCount> : chosen<kind, kCount + 1>(hw);
    }
}

void planes(Job const& job, std::int64_t first, std::int64_t last) {
    One const table[] = {chosen<kPlain>(job.hw), chosen<kAffine>(job.hw), chosen<kResidual>(job.hw)};
    One const one = table[kind_of(job)];
    Inverse const inverse(job.hw);
    std::int64_t channel = first % job.channels;
    for (std::int64_t number = first; number < last; ++number) {
        one(job, inverse, number, channel);
        if (++channel == job.channels) channel = 0;
    }
}

}  // namespace
