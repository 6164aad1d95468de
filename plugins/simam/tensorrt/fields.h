// Attributes as TensorRT hands them over: from a network or, serialised, from a plan.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

namespace simam {

struct Attribute {
    char const* name;
    nvinfer1::PluginFieldType type;  // kFLOAT32 or kINT32.
};

// By the attribute's type.
union Value {
    float real;
    int32_t whole;
};

using Attributes = std::vector<Attribute>;
using Values = std::vector<Value>;

// Reads each of the attributes exactly once, one value of its type each, and nothing beside them.
// Throws std::invalid_argument with what is wrong.
Values readFields(Attributes const& attributes, nvinfer1::PluginFieldCollection const* fields);

// Fields that point to the values, or to nothing where there are none.
std::vector<nvinfer1::PluginField> fieldsOf(Attributes const& attributes, Value const* values);

// As text, to the last bit.
std::string textOf(Attribute const& attribute, Value value);

}  // namespace simam
