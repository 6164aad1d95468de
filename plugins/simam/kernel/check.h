// What `launch` refuses.
#pragma once

#include "params.h"

namespace simam {

// Whether the kernels may run on these; see simam.h for the list.
bool isValid(Params const& params, Type type, Layout layout, void const* workspace) noexcept;

}  // namespace simam
