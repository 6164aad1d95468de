// Blocks of channels, pixel by pixel, once for every instruction set: a lane is a channel.
//
// A block of more channels than a vector has lanes is computed strip by strip. Numbers are those of
// planes_body.h: shifted by the first pixel, twice summed; sums are carried in double from 256
// pixels on, for a lane adds 64 of these one after the other, as many as there of a vector's 4096.

#include "vectors.h"

namespace {

constexpr int kWidest = SIMAM_LANES;
constexpr std::int64_t kRun = 256;  // pixels that are summed in float

// Sums f(vector) over a strip's pixels, which lie `stride` floats apart.
template <int Lanes, typename F>
inline Doubles<Lanes> strip_sums(float const* in, std::int64_t stride, std::int64_t hw,
                                 F const& f) {
    Doubles<Lanes> total{};
    for (std::int64_t at = 0; at < hw;) {
        std::int64_t const end = hw - at < kRun ? hw : at + kRun;
        Floats<Lanes> s[4] = {};
        for (; at + 4 <= end; at += 4)
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) s[k] += f(load<Lanes>(in + (at + k) * stride));
        for (; at < end; ++at) s[0] += f(load<Lanes>(in + at * stride));
        total += __builtin_convertvector((s[0] + s[1]) + (s[2] + s[3]), Doubles<Lanes>);
    }
    return total;
}

// The gate of every channel of a strip; exact as in planes_body.h's take_sums.
template <int Lanes>
inline Gate<Lanes> strip_gate(Job const& job, Inverse inverse, float const* in,
                              std::int64_t stride) {
    using V = Floats<Lanes>;
    V const shift = load<Lanes>(in);
    Doubles<Lanes> const moved =
        strip_sums<Lanes>(in, stride, job.hw, [shift](V x) { return x - shift; });
    Doubles<Lanes> const mean =
        __builtin_convertvector(shift, Doubles<Lanes>) + moved * inverse.pixels;
    Gate<Lanes> gate{};
    V const centre = gate.centre = __builtin_convertvector(mean, V);
    Doubles<Lanes> const rest = mean - __builtin_convertvector(centre, Doubles<Lanes>);
    Doubles<Lanes> const squares = strip_sums<Lanes>(in, stride, job.hw, [centre](V x) {
        V const d = x - centre;
        return d * d;
    });
    Doubles<Lanes> const exact = squares - static_cast<double>(job.hw) * rest * rest;
    V const v = __builtin_convertvector(exact * inverse.freedoms, V);
    V const ratio = 0.25F * kLog2e / (v + job.lambda);
    for (int i = 0; i < Lanes; ++i) gate.a[i] = __builtin_sqrtf(ratio[i]);
    gate.rest_a = __builtin_convertvector(rest, V) * gate.a;
    return gate;
}

// One strip: `live` of its lanes are channels, from `channel` on.
template <Kind kind, int Lanes>
void strip(Job const& job, Inverse inverse, std::int64_t start, std::int64_t stride,
           std::int64_t channel, std::int64_t live) {
    float const* const in = job.x + start;
    Gate<Lanes> gate = strip_gate<Lanes>(job, inverse, in, stride);
    if constexpr (kind != kPlain) {
        auto const bytes = static_cast<__SIZE_TYPE__>(live) * sizeof(float);
        __builtin_memcpy(&gate.scale, job.scale + channel, bytes);
        __builtin_memcpy(&gate.bias, job.bias + channel, bytes);
    }
    Ints<Lanes> const there = lanes<Lanes>() < static_cast<std::int32_t>(live);
    float const* const beside = kind == kResidual ? job.residual + start : in;
    float* const out = job.y + start;
    for (std::int64_t at = 0; at < job.hw * stride; at += stride) {
        Floats<Lanes> const y = finished<kind, Lanes>(job, gate, load<Lanes>(in + at),
                                                      load<Lanes>(beside + at));
        store(out + at, there ? y : Floats<Lanes>{});
    }
}

template <Kind kind, int kChannels>
void blocks_of(Job const& job, std::int64_t first, std::int64_t last) {
    constexpr int kStrip = kChannels < kWidest ? kChannels : kWidest;
    std::int64_t const per_image = (job.channels + kChannels - 1) / kChannels;
    Inverse const inverse(job.hw);
    for (std::int64_t number = first; number < last; ++number)
        for (int lane = 0; lane < kChannels; lane += kStrip) {
            std::int64_t const start = number * job.hw * kChannels + lane;
            std::int64_t const channel = number % per_image * kChannels + lane;
            std::int64_t const left = job.channels - channel;
            std::int64_t const live = left < 0 ? 0 : left < kStrip ? left : kStrip;
            strip<kind, kStrip>(job, inverse, start, kChannels, channel, live);
        }
}

template <int kChannels>
void blocks_of(Job const& job, std::int64_t first, std::int64_t last) {
    switch (kind_of(job)) {
        case kPlain: return blocks_of<kPlain, kChannels>(job, first, last);
        case kAffine: return blocks_of<kAffine, kChannels>(job, first, last);
        case kResidual: return blocks_of<kResidual, kChannels>(job, first, last);
    }
}

void blocks(Job const& job, std::int64_t block, std::int64_t first, std::int64_t last) {
    block == 16 ? blocks_of<16>(job, first, last) : blocks_of<8>(job, first, last);
}

}  // namespace
