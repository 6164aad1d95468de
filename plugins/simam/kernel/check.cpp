#include "check.h"

#include <cmath>

#include "choose.h"

namespace simam {
namespace {

bool isAligned(void const* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

bool areSizesValid(Params const& params, Layout layout) {
    constexpr int64_t kMost = int64_t{1} << 30;  // Pixels are counted in 32 bits.
    if (params.n < 0 || params.c < 0 || params.hw < 0 || params.hw >= kMost) return false;
    if (layout == Layout::kNCHW) return true;
    return params.pitch == params.c || params.pitch == (params.c + 7) / 8 * 8;
}

bool areNumbersValid(Params const& params) {
    return std::isfinite(params.lambda) && params.lambda >= 0.f &&
           params.clipMin <= params.clipMax;
}

bool arePointersValid(Params const& params) {
    bool const tensors = params.x != nullptr && params.y != nullptr;
    bool const epilogue = (params.scale == nullptr) == (params.bias == nullptr);
    bool const aligned =
        isAligned(params.x) && isAligned(params.y) && isAligned(params.residual);
    return tensors && epilogue && aligned;
}

}  // namespace

bool isValid(Params const& params, Type type, Layout layout, void const* workspace) noexcept {
    if (!areSizesValid(params, layout) || !areNumbersValid(params)) return false;
    if (params.n == 0 || params.c == 0 || params.hw == 0) return true;
    bool const wanted = countPartials(params, type, layout) > 0;
    return arePointersValid(params) && isAligned(workspace) && (workspace != nullptr || !wanted);
}

}  // namespace simam
