#include "operators.h"

#include <cmath>
#include <stdexcept>
#include <string>

namespace simam {
namespace {

[[noreturn]] void refuse(std::string const& reason) { throw std::invalid_argument(reason); }

}  // namespace

Attributes attributesOf(Operator const& op) {
    Attributes attributes;
    for (int32_t i = 0; i < op.attributes; ++i) {
        attributes.push_back({kAttributeNames[static_cast<size_t>(i)],
                              nvinfer1::PluginFieldType::kFLOAT32});
    }
    return attributes;
}

Numbers numbersOf(Values const& values) {
    Numbers numbers = kUnbounded;
    for (size_t i = 0; i < values.size(); ++i) {
        numbers[i] = values[i].real;
    }
    if (!std::isfinite(numbers[kLambda]) || numbers[kLambda] < 0.0F) {
        refuse("e_lambda must be finite and not negative, got " + std::to_string(numbers[kLambda]));
    }
    // Also false where a bound is not a number.
    if (!(numbers[kClipMin] <= numbers[kClipMax])) {
        refuse("clip_min must not be above clip_max, got " + std::to_string(numbers[kClipMin]) +
               " and " + std::to_string(numbers[kClipMax]));
    }
    return numbers;
}

}  // namespace simam
