#define SIMAM_LANES 16
#include "planes_body.h"

namespace simam::cpu {

void avx512(Job const& job, std::int64_t first, std::int64_t last) { planes(job, first, last); }

}  // namespace simam::cpu
