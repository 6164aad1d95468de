#include "node.h"

#include <cuda_runtime_api.h>

#include <utility>

#include "log.h"

namespace simam {
namespace {

using namespace nvinfer1;

std::string identify(char const* name, Attributes const& attributes, Values const& values) {
    std::string id = std::string(kNamespace) + "::" + name;
    for (size_t i = 0; i < attributes.size(); ++i) {
        id += " " + textOf(attributes[i], values[i]);
    }
    return id;
}

}  // namespace

Node::Node(char const* name, int32_t inputs, Attributes attributes, Values values)
    : name_(name),
      inputs_(inputs),
      attributes_(std::move(attributes)),
      values_(std::move(values)),
      id_(identify(name_, attributes_, values_)),
      fields_(fieldsOf(attributes_, values_.data())),
      collection_{static_cast<int32_t>(fields_.size()), fields_.data()} {}

int32_t Node::refuse(std::string const& reason) const noexcept {
    logError(std::string(name_) + ": " + reason);
    return -1;
}

int32_t Node::checkCounts(int32_t inputs, int32_t outputs) const noexcept {
    if (inputs == inputs_ && outputs == 1) {
        return 0;
    }
    return refuse("takes " + std::to_string(inputs_) + " inputs and gives one output, got " +
                  std::to_string(inputs) + " and " + std::to_string(outputs));
}

int32_t Node::checkRank(int32_t input, int32_t got, int32_t wanted) const noexcept {
    if (got == wanted) {
        return 0;
    }
    return refuse("input " + std::to_string(input) + " must have " + std::to_string(wanted) +
                  " dimensions, got " + std::to_string(got));
}

int32_t Node::finish(cudaError_t error) const noexcept {
    return error == cudaSuccess ? 0 : refuse(std::string("CUDA: ") + cudaGetErrorString(error));
}

IPluginCapability* Node::getCapabilityInterface(PluginCapabilityType type) noexcept {
    switch (type) {
        case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
        case PluginCapabilityType::kBUILD: return static_cast<v_1_0::IPluginV3OneBuild*>(this);
        case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

IPluginV3* Node::attachToContext(IPluginResourceContext* /* context */) noexcept {
    return clone();
}

PluginFieldCollection const* Node::getFieldsToSerialize() noexcept { return &collection_; }

int32_t Node::configurePlugin(DynamicPluginTensorDesc const* /* inputs */, int32_t /* nbInputs */,
                              DynamicPluginTensorDesc const* /* outputs */,
                              int32_t /* nbOutputs */) noexcept {
    return 0;
}

size_t Node::getWorkspaceSize(DynamicPluginTensorDesc const* /* inputs */, int32_t /* nbInputs */,
                              DynamicPluginTensorDesc const* /* outputs */,
                              int32_t /* nbOutputs */) const noexcept {
    return 0;
}

}  // namespace simam
