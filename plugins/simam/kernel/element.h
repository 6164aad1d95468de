// Element types, and the units in which a thread reads and writes them.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define SIMAM_BODY __device__ __forceinline__
#define SIMAM_SHARED __host__ __device__  // By choice and bodies alike.
#else
#define SIMAM_SHARED
#define SIMAM_BODY inline  // The same bodies, on the host: plugins/simam/tests.
#endif

namespace simam {

// kWidth elements are 16 bytes; kPerWord are one 32-bit word.
struct Float {
    using Storage = float;
    static constexpr int kWidth = 4;
    static constexpr int kPerWord = 1;
};
struct Half {
    using Storage = uint16_t;
    static constexpr int kWidth = 8;
    static constexpr int kPerWord = 2;
};
struct BFloat16 {
    using Storage = uint16_t;
    static constexpr int kWidth = 8;
    static constexpr int kPerWord = 2;
};

// 16 bytes, kept packed: a half in a register of its own would double the registers.
template <class E>
struct alignas(16) Vector {
    using Element = E;
    static constexpr int kWidth = E::kWidth;
    uint32_t word[4];
};

// One element: for channels-last rows that do not begin on 16 bytes.
template <class E>
struct Scalar {
    using Element = E;
    static constexpr int kWidth = 1;
    typename E::Storage value;
};

// `Thread` is CudaThread, or the emulator's: it knows the conversions.
template <class Thread, class E>
SIMAM_BODY void unpack(Vector<E> const& vector, float (&out)[E::kWidth]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) Thread::toFloats(E{}, vector.word[i], out + i * E::kPerWord);
}

template <class Thread, class E>
SIMAM_BODY void unpack(Scalar<E> const& scalar, float (&out)[1]) {
    out[0] = Thread::toFloat(E{}, scalar.value);
}

template <class Thread, class E>
SIMAM_BODY void pack(float const (&in)[E::kWidth], Vector<E>& vector) {
#pragma unroll
    for (int i = 0; i < 4; ++i) vector.word[i] = Thread::fromFloats(E{}, in + i * E::kPerWord);
}

template <class Thread, class E>
SIMAM_BODY void pack(float const (&in)[1], Scalar<E>& scalar) {
    scalar.value = Thread::fromFloat(E{}, in[0]);
}

}  // namespace simam
