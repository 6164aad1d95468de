#include "typed.h"

#include <cstdlib>
#include <cstring>
#include <memory>

namespace simam::cpu {
namespace {

#if defined(__aarch64__)
using Half = __fp16;  // g++ 12 has no _Float16 there
#else
using Half = _Float16;
#endif

// A number of 16 bits, kept as the upper half of a float32.
struct Bfloat16 {
    std::uint16_t bits;
};

float widened(Half value) { return static_cast<float>(value); }
float widened(double value) { return static_cast<float>(value); }
float widened(Bfloat16 value) {
    std::uint32_t const bits = static_cast<std::uint32_t>(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

void narrow(float value, Half& to) { to = static_cast<Half>(value); }
void narrow(float value, double& to) { to = static_cast<double>(value); }
void narrow(float value, Bfloat16& to) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    bool const is_nan = value != value;
    std::uint32_t const even = bits + 0x7fffU + ((bits >> 16) & 1U);  // to the nearest, ties to even
    to.bits = static_cast<std::uint16_t>((is_nan ? bits | 0x400000U : even) >> 16);
}

struct Free {
    void operator()(float* room) const { std::free(room); }
};
using Room = std::unique_ptr<float[], Free>;

Room room(std::size_t count) {
    return Room(static_cast<float*>(std::malloc((count + 1) * sizeof(float))));
}

template <typename T>
bool computed(Way const& way, TypedJob const& typed, std::int64_t first, std::int64_t last) {
    std::int64_t const hw = typed.job.hw;
    auto const count = static_cast<std::size_t>(hw);
    bool const beside = typed.residual != nullptr;
    Room const x = room(count), residual = room(beside ? count : 0);
    if (!x || !residual) return false;
    Job one = typed.job;
    one.x = one.y = x.get();
    one.residual = beside ? residual.get() : nullptr;
    one.channels = 1;
    for (std::int64_t number = first; number < last; ++number) {
        std::int64_t const channel = number % typed.job.channels, start = number * hw;
        T const* const in = static_cast<T const*>(typed.x) + start;
        for (std::size_t i = 0; i < count; ++i) x[i] = widened(in[i]);
        if (beside) {
            T const* const added = static_cast<T const*>(typed.residual) + start;
            for (std::size_t i = 0; i < count; ++i) residual[i] = widened(added[i]);
        }
        if (typed.job.scale != nullptr) {
            one.scale = typed.job.scale + channel;
            one.bias = typed.job.bias + channel;
        }
        way.planes(one, 0, 1);
        T* const out = static_cast<T*>(typed.y) + start;
        for (std::size_t i = 0; i < count; ++i) narrow(x[i], out[i]);
    }
    return true;
}

}  // namespace

bool typed_planes(Way const& way, TypedJob const& typed, std::int64_t first, std::int64_t last) {
    switch (typed.type) {
        case Type::kHalf: return computed<Half>(way, typed, first, last);
        case Type::kBfloat16: return computed<Bfloat16>(way, typed, first, last);
        case Type::kDouble: return computed<double>(way, typed, first, last);
        case Type::kFloat: break;
    }
    Job job = typed.job;
    job.x = static_cast<float const*>(typed.x);
    job.y = static_cast<float*>(typed.y);
    job.residual = static_cast<float const*>(typed.residual);
    way.planes(job, first, last);
    return true;
}

}  // namespace simam::cpu
