#define SIMAM_LANES 8
#include "blocks_body.h"
#include "planes_body.h"

namespace simam::cpu {

void avx2(Job const& job, std::int64_t first, std::int64_t last) { planes(job, first, last); }

void avx2_blocks(Job const& job, std::int64_t block, std::int64_t first, std::int64_t last) {
    blocks(job, block, first, last);
}

}  // namespace simam::cpu
