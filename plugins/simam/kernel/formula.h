// The arithmetic of one plane: moments, gate, epilogue. float32 throughout.
#pragma once

#include "arguments.h"
#include "element.h"

namespace simam {

struct Moments {
    float count;
    float mean;
    float m2;
};

// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
// variances", 1979. No E[x^2] - mean^2, which at mean/std = 1000 is wrong by 5e-2.
template <class Thread>
SIMAM_BODY Moments merge(Moments const& one, Moments const& other) {
    float const count = one.count + other.count;
    float const step = other.mean - one.mean;
    float const share = count > 0.f ? Thread::divide(other.count, count) : 0.f;
    return {count, one.mean + step * share, one.m2 + other.m2 + step * step * one.count * share};
}

// The same over the slices of a plane, of which slice i holds cut.count(i) elements: two sums and
// one division instead of a division a slice.
template <class Thread, class Cut>
SIMAM_BODY Moments combine(Partial const* partials, int64_t stride, int slices, Cut const& cut) {
    float sum = 0.f;
#pragma unroll 1
    for (int i = 0; i < slices; ++i) sum += cut.count(i) * partials[i * stride].mean;
    float const total = static_cast<float>(cut.hw);
    float const mean = Thread::divide(sum, total);
    float m2 = 0.f;
#pragma unroll 1
    for (int i = 0; i < slices; ++i) {
        float const step = partials[i * stride].mean - mean;
        m2 += partials[i * stride].m2 + cut.count(i) * step * step;
    }
    return {total, mean, m2};
}

// sigmoid(d^2 / (4 * (v + lambda)) + 0.5) = 1 / (1 + 2^-(t^2 + log2(e) / 2)) with t = x * a + b:
// an fma, an fma, ex2, an add and rcp. The exponent is at most -0.72, so nothing overflows.
// Error, with ex2 and rcp off by the 2 and 1 ulp that CUDA states: 4.7e-7 of y while
// |mean| / std <= 10 (claimed: 2e-6); beyond, b's rounding grows with that ratio: 4.0e-6 at 100.
struct Gate {
    float a;
    float b;
};

template <class Thread>
SIMAM_BODY Gate gateOf(Moments const& moments, float lambda) {
    constexpr float kRootOfQuarterLog2E = 0.600561204393225f;
    float const variance = Thread::divide(moments.m2, moments.count - 1.f);
    float const a = kRootOfQuarterLog2E * Thread::rsqrt(variance + lambda);
    return {a, -moments.mean * a};
}

template <class Thread>
SIMAM_BODY float attend(float x, Gate const& gate) {
    constexpr float kHalfLog2E = 0.721347520444482f;
    float const t = Thread::fma(x, gate.a, gate.b);
    float const e = Thread::exp2(Thread::fma(-t, t, -kHalfLog2E));
    return x * Thread::reciprocal(1.f + e);
}

// The epilogue of one channel.
struct Channel {
    float scale;
    float bias;
};

// Of channel `index` modulo c: an NCHW plane's index serves.
SIMAM_BODY Channel channelOf(Params const& params, int64_t index) {
    if (params.scale == nullptr) return {1.f, 0.f};
    int64_t const c = index % params.c;
    return {params.scale[c], params.bias[c]};
}

template <Epilogue kEpilogue>
SIMAM_BODY bool adds(Params const& params) {
    if constexpr (kEpilogue == Epilogue::kAny) return params.residual != nullptr;
    return kEpilogue == Epilogue::kResidual;
}

// One pixel from x to z.
template <Epilogue kEpilogue, class Thread>
SIMAM_BODY float finish(float x, Gate const& gate, Channel const& channel, float residual,
                        Params const& params) {
    float const y = attend<Thread>(x, gate);
    if constexpr (kEpilogue == Epilogue::kNone) return y;
    float const z = Thread::fma(y, channel.scale, channel.bias);
    return Thread::clamp(adds<kEpilogue>(params) ? z + residual : z, params.clipMin,
                         params.clipMax);
}

template <Epilogue kEpilogue>
struct EpilogueConstant {
    static constexpr Epilogue kValue = kEpilogue;
};

// Calls f with the epilogue as a constant. A kernel holds the code for all three behind one load
// and one reduction: a kernel for each made the library a third larger.
template <class Function>
SIMAM_BODY void withEpilogue(Epilogue epilogue, Function f) {
    if (epilogue == Epilogue::kNone) {
        f(EpilogueConstant<Epilogue::kNone>{});
    } else if (epilogue == Epilogue::kAffine) {
        f(EpilogueConstant<Epilogue::kAffine>{});
    } else {
        f(EpilogueConstant<Epilogue::kResidual>{});
    }
}

// Pairwise: shorter chains of dependent additions, and less rounding.
template <int kCount>
SIMAM_BODY float sumOf(float const* values) {
    if constexpr (kCount == 1) {
        return values[0];
    } else {
        return sumOf<kCount / 2>(values) + sumOf<kCount / 2>(values + kCount / 2);
    }
}

}  // namespace simam
