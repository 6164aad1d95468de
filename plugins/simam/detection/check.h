// What `launchAlign` and `launchNms` refuse.
#pragma once

#include "params.h"

namespace simam {

// Sizes or attributes beyond what params.h says, an NHWC result of NCHW maps, a null pointer, maps,
// RoIs or result off 16 bytes.
bool isValid(AlignParams const& params) noexcept;

// Likewise; the boxes and the workspace must be on 16 bytes.
bool isValid(NmsParams const& params, void const* workspace) noexcept;

bool isEmpty(AlignParams const& params) noexcept;
bool isEmpty(NmsParams const& params) noexcept;

}  // namespace simam
