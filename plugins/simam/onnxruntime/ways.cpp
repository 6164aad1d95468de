#include "planes.h"

namespace simam::cpu {

#if defined(__x86_64__)
static bool has_avx512() {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
}

static bool has_avx2() {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static bool always() { return true; }

Way const kWays[] = {
#if defined(__x86_64__)
    {"avx512", avx512, avx512_blocks, has_avx512},
    {"avx2", avx2, avx2_blocks, has_avx2},
#endif
    {"plain", plain, plain_blocks, always},
};
int const kWayCount = sizeof kWays / sizeof kWays[0];

Way const& best() {
#if defined(__x86_64__)
    __builtin_cpu_init();  // asked before main, when the library is loaded
#endif
    Way const* way = kWays;
    while (!way->runs()) ++way;
    return *way;
}

}  // namespace simam::cpu
