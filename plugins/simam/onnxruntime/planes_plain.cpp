// SSE2 or NEON: what every x86-64 and aarch64 has.
#define SIMAM_LANES 4
#include "blocks_body.h"
#include "planes_body.h"

namespace simam::cpu {

void plain(Job const& job, std::int64_t first, std::int64_t last) { planes(job, first, last); }

void plain_blocks(Job const& job, std::int64_t block, std::int64_t first, std::int64_t last) {
    blocks(job, block, first, last);
}

}  // namespace simam::cpu
