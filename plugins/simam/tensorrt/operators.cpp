#include "operators.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace simam {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

[[noreturn]] void refuse(std::string const& reason) { throw std::invalid_argument(reason); }

int32_t indexOf(Operator const& op, PluginField const& field) {
    for (int32_t i = 0; field.name != nullptr && i < op.attributes; ++i) {
        if (std::strcmp(field.name, kAttributeNames[i]) == 0) {
            return i;
        }
    }
    refuse(std::string("unknown attribute ") + (field.name == nullptr ? "(no name)" : field.name));
}

float readFloat(PluginField const& field) {
    if (field.type != PluginFieldType::kFLOAT32 || field.length != 1 || field.data == nullptr) {
        refuse(std::string(field.name) + " must be one float32, got type " +
               std::to_string(static_cast<int32_t>(field.type)) + " of length " +
               std::to_string(field.length));
    }
    float value = 0.0F;
    std::memcpy(&value, field.data, sizeof value);  // The field promises no alignment.
    return value;
}

void checkValues(Attributes const& values) {
    if (!std::isfinite(values[kLambda]) || values[kLambda] < 0.0F) {
        refuse("e_lambda must be finite and not negative, got " + std::to_string(values[kLambda]));
    }
    // Also false where a bound is not a number.
    if (!(values[kClipMin] <= values[kClipMax])) {
        refuse("clip_min must not be above clip_max, got " + std::to_string(values[kClipMin]) +
               " and " + std::to_string(values[kClipMax]));
    }
}

}  // namespace

Attributes parseAttributes(Operator const& op, nvinfer1::PluginFieldCollection const* fields) {
    Attributes values = kUnbounded;
    std::array<bool, kAttributeNames.size()> seen{};
    for (int32_t i = 0; fields != nullptr && i < fields->nbFields; ++i) {
        int32_t const index = indexOf(op, fields->fields[i]);
        if (seen[index]) {
            refuse(std::string(kAttributeNames[index]) + " is given twice");
        }
        seen[index] = true;
        values[index] = readFloat(fields->fields[i]);
    }
    for (int32_t i = 0; i < op.attributes; ++i) {
        if (!seen[i]) {
            refuse(std::string("attribute ") + kAttributeNames[i] + " is missing");
        }
    }
    checkValues(values);
    return values;
}

}  // namespace simam
