#include "fields.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>

namespace simam {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

[[noreturn]] void refuse(std::string const& reason) { throw std::invalid_argument(reason); }

size_t indexOf(Attributes const& attributes, PluginField const& field) {
    for (size_t i = 0; field.name != nullptr && i < attributes.size(); ++i) {
        if (std::strcmp(field.name, attributes[i].name) == 0) {
            return i;
        }
    }
    refuse(std::string("unknown attribute ") + (field.name == nullptr ? "(no name)" : field.name));
}

Value readValue(Attribute const& attribute, PluginField const& field) {
    if (field.type != attribute.type || field.length != 1 || field.data == nullptr) {
        bool const real = attribute.type == PluginFieldType::kFLOAT32;
        refuse(std::string(field.name) + " must be one " + (real ? "float32" : "int32") +
               ", got type " + std::to_string(static_cast<int32_t>(field.type)) + " of length " +
               std::to_string(field.length));
    }
    Value value{};
    std::memcpy(&value, field.data, sizeof value);  // The field promises no alignment.
    return value;
}

}  // namespace

Values readFields(Attributes const& attributes, nvinfer1::PluginFieldCollection const* fields) {
    Values values(attributes.size());
    std::vector<bool> seen(attributes.size());
    for (int32_t i = 0; fields != nullptr && i < fields->nbFields; ++i) {
        size_t const index = indexOf(attributes, fields->fields[i]);
        if (seen[index]) {
            refuse(std::string(attributes[index].name) + " is given twice");
        }
        seen[index] = true;
        values[index] = readValue(attributes[index], fields->fields[i]);
    }
    for (size_t i = 0; i < attributes.size(); ++i) {
        if (!seen[i]) {
            refuse(std::string("attribute ") + attributes[i].name + " is missing");
        }
    }
    return values;
}

std::vector<PluginField> fieldsOf(Attributes const& attributes, Value const* values) {
    std::vector<PluginField> fields;
    for (size_t i = 0; i < attributes.size(); ++i) {
        void const* const data = values == nullptr ? nullptr : values + i;
        fields.emplace_back(attributes[i].name, data, attributes[i].type, 1);
    }
    return fields;
}

std::string textOf(Attribute const& attribute, Value value) {
    if (attribute.type == PluginFieldType::kINT32) {
        return std::string(attribute.name) + "=" + std::to_string(value.whole);
    }
    char text[32];
    std::snprintf(text, sizeof text, "=%a", static_cast<double>(value.real));
    return attribute.name + std::string(text);
}

}  // namespace simam
