// What every instruction set computes with: vectors of floats, and the gate of one.
//
// Everything lies in an unnamed namespace and nothing of the standard library is called: a function
// that two sets share would be linked once, and might then be the one that this machine cannot run.
//
// The sigmoid is 1 / (1 + 2^z) with z = -(d^2 / (4 (v + lambda)) + 0.5) log2(e), and 2^f on
// [-1/2, 1/2] a polynomial of degree 5, off by 9e-8 at most (fitted to 2^f at 4001 Chebyshev nodes,
// weighted until the largest relative error was least).
#pragma once

#include <cstdint>

#include "planes.h"

namespace {

using simam::cpu::Job;

constexpr float kLog2e = 1.44269504F;

template <int Lanes>
struct Of {
    typedef float Floats __attribute__((vector_size(Lanes * 4)));
    typedef std::int32_t Ints __attribute__((vector_size(Lanes * 4)));
    typedef double Doubles __attribute__((vector_size(Lanes * 8)));
};
template <int Lanes>
using Floats = typename Of<Lanes>::Floats;
template <int Lanes>
using Ints = typename Of<Lanes>::Ints;
template <int Lanes>
using Doubles = typename Of<Lanes>::Doubles;

template <int Lanes>
inline Floats<Lanes> load(float const* p) {
    Floats<Lanes> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <typename V>
inline void store(float* p, V v) {
    __builtin_memcpy(p, &v, sizeof v);
}

template <int Lanes>
inline Floats<Lanes> all(float f) {
    return f - Floats<Lanes>{};
}

template <int Lanes>
inline Ints<Lanes> lanes() {
    Ints<Lanes> count;
    for (int i = 0; i < Lanes; ++i) count[i] = i;
    return count;
}

// What a pixel is computed with: d a = (x - centre) a - rest_a, where
// a = sqrt(log2(e) / (4 (v + lambda))), and centre + rest is the mean.
template <int Lanes>
struct Gate {
    Floats<Lanes> centre, a, rest_a, scale, bias;
};

// x sigmoid(t^2 / log2(e) + 1/2).
template <int Lanes>
inline Floats<Lanes> gated(Floats<Lanes> x, Floats<Lanes> t) {
    using V = Floats<Lanes>;
    V z = -(t * t) - 0.5F * kLog2e;
    z = z < -126.0F ? all<Lanes>(-126.0F) : z;  // 1 + 2^-126 is 1; a NaN stays one
    V const whole = (z + 12582912.0F) - 12582912.0F;  // 1.5 * 2^23: rounds to an integer
    V const f = z - whole;
    V p = f * 1.32647e-3F + 9.67151e-3F;
    p = p * f + 5.550734e-2F;
    p = p * f + 2.4022242e-1F;
    p = p * f + 6.9314698e-1F;
    p = p * f + 1.0F;
    Ints<Lanes> bits;
    __builtin_memcpy(&bits, &p, sizeof bits);
    bits += __builtin_convertvector(whole, Ints<Lanes>) << 23;
    __builtin_memcpy(&p, &bits, sizeof p);
    return x / (1.0F + p);
}

enum Kind { kPlain, kAffine, kResidual };

inline Kind kind_of(Job const& job) {
    return !job.scale ? kPlain : !job.residual ? kAffine : kResidual;
}

template <Kind kind, int Lanes>
inline Floats<Lanes> finished(Job const& job, Gate<Lanes> const& gate, Floats<Lanes> x,
                              Floats<Lanes> residual) {
    Floats<Lanes> y = gated<Lanes>(x, (x - gate.centre) * gate.a - gate.rest_a);
    if constexpr (kind != kPlain) {
        y = y * gate.scale + gate.bias;
        if constexpr (kind == kResidual) y += residual;
        y = y < job.low ? all<Lanes>(job.low) : y;
        y = y > job.high ? all<Lanes>(job.high) : y;
    }
    return y;
}

// 1 / hw and 1 / (hw - 1): a division a plane is a tenth of a small one's time.
struct Inverse {
    double pixels, freedoms;

    explicit Inverse(std::int64_t hw)
        : pixels(1.0 / static_cast<double>(hw)), freedoms(1.0 / (static_cast<double>(hw) - 1.0)) {}
};

}  // namespace
