#define SIMAM_LANES 8
#include "planes_body.h"

namespace simam::cpu {

void avx2(Job const& job, std::int64_t first, std::int64_t last) { planes(job, first, last); }

}  // namespace simam::cpu
