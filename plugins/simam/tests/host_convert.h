// half and bfloat16 to and from float, rounding to the nearest even as the GPU does.
#pragma once

#include <cstdint>
#include <cstring>

namespace simam {

inline float floatOf(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

inline uint32_t bitsOf(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}

inline float floatOfHalf(uint16_t half) {
    uint32_t const sign = uint32_t{half & 0x8000u} << 16;
    uint32_t const exponent = half >> 10 & 31;
    uint32_t const fraction = half & 0x3ffu;
    if (exponent == 31) return floatOf(sign | 0x7f800000u | fraction << 13);
    if (exponent == 0) {
        float const small = static_cast<float>(fraction) * 0x1p-24f;
        return floatOf(sign | bitsOf(small));
    }
    return floatOf(sign | (exponent + 112) << 23 | fraction << 13);
}

// Adding half an ulp of the target, and one more where that makes a tie odd, carries into the
// exponent by itself.
inline uint16_t halfOf(float value) {
    uint32_t const bits = bitsOf(value);
    auto const sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
    uint32_t const magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
    if (magnitude < 0x38800000u) {  // Below 2^-14: the float adder rounds to multiples of 2^-24.
        float const shifted = floatOf(magnitude) + 0.5f;
        return sign | static_cast<uint16_t>(bitsOf(shifted) - bitsOf(0.5f));
    }
    uint32_t const rounded = magnitude + 0xfffu + (magnitude >> 13 & 1);
    return sign | static_cast<uint16_t>((rounded - (112u << 23)) >> 13);
}

inline float floatOfBFloat16(uint16_t value) { return floatOf(uint32_t{value} << 16); }

inline uint16_t bfloat16Of(float value) {
    uint32_t const bits = bitsOf(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

}  // namespace simam
