#include "check.h"

#include <cmath>
#include <initializer_list>

namespace simam {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 31;
constexpr int64_t kMostBatch = int64_t{1} << 23;  // 256 blocks each.
constexpr int64_t kMostPixels = int64_t{1} << 23;  // A coordinate's half is float32's still.

bool isAligned(void const* address) {
    return address != nullptr && reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

bool isMapValid(Level const& level, AlignParams const& params) {
    int64_t const h = level.height;
    int64_t const w = level.width;
    if (h < 1 || w < 1 || h >= kMostPixels || w >= kMostPixels) return false;
    int64_t const lanes = params.from == Layout::kNCHW ? 1 : params.pitch;
    return isAligned(level.x) && h * w < kMostElements && h * w * lanes < kMostElements;
}

bool areLayoutsValid(AlignParams const& params) {
    if (params.from == Layout::kNCHW) return params.to == Layout::kNCHW;
    return params.pitch == params.c || params.pitch == (params.c + 7) / 8 * 8;
}

bool areNumbersValid(AlignParams const& params) {
    bool const bins = params.bins >= 1 && params.bins <= kMostBins;
    bool const ratio = params.ratio >= 0 && params.ratio <= kMostRatio;
    return bins && ratio && std::isfinite(params.finest) && params.finest > 0.f;
}

bool areSizesValid(AlignParams const& params) {
    for (int64_t const size : {params.n, params.r, params.c}) {
        if (size < 0 || size >= kMostElements) return false;
    }
    return params.n * params.r < kMostElements && (params.c + 7) * params.bins * params.bins < kMostElements;
}

bool areSizesValid(NmsParams const& params) {
    if (params.batch < 0 || params.batch >= kMostBatch) return false;
    if (params.count < 0 || params.count > kMostBoxes) return false;
    int64_t const words = (params.count + 63) / 64;
    return params.batch * words * words < kMostElements && params.groupCount >= 1 &&
           params.groupCount < kMostElements;
}

}  // namespace

bool isEmpty(AlignParams const& params) noexcept {
    return params.n == 0 || params.r == 0 || params.c == 0;
}

bool isEmpty(NmsParams const& params) noexcept { return params.batch == 0 || params.count == 0; }

bool isValid(AlignParams const& params) noexcept {
    if (!areNumbersValid(params) || !areSizesValid(params) || !areLayoutsValid(params)) return false;
    if (isEmpty(params)) return true;
    for (Level const& level : params.levels) {
        if (!isMapValid(level, params)) return false;
    }
    return isAligned(params.rois) && isAligned(params.y);
}

bool isValid(NmsParams const& params, void const* workspace) noexcept {
    // Also false where the threshold is not a number.
    bool const threshold = params.threshold >= 0.f && params.threshold <= 1.f;
    if (!areSizesValid(params) || !threshold) return false;
    if (isEmpty(params)) return true;
    bool const tensors =
        params.scores != nullptr && params.groups != nullptr && params.kept != nullptr;
    return tensors && isAligned(params.boxes) && isAligned(workspace);
}

}  // namespace simam
