#define SIMAM_LANES 16
#include "blocks_body.h"
#include "planes_body.h"

namespace simam::cpu {

void avx512(Job const& job, std::int64_t first, std::int64_t last) { planes(job, first, last); }

void avx512_blocks(Job const& job, std::int64_t block, std::int64_t first, std::int64_t last) {
    blocks(job, block, first, last);
}

}  // namespace simam::cpu
