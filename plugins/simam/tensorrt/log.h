// Messages to whoever loaded the library.
#pragma once

#include <string>

namespace simam {

// Hands an error to TensorRT's logger; to stderr where TensorRT gave none.
void logError(std::string const& message) noexcept;

}  // namespace simam
