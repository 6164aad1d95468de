// SSE2 or NEON: what every x86-64 and aarch64 has.
#define SIMAM_LANES 4
#include "planes_body.h"

namespace simam::cpu {

void plain(Job const& job, std::int64_t first, std::int64_t last) { planes(job, first, last); }

}  // namespace simam::cpu
