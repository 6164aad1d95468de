// Makes plugins of one operator, from a network's attributes or from a plan.
#pragma once

#include <NvInferRuntime.h>

#include <array>

#include "operators.h"

namespace simam {

class Creator final : public nvinfer1::IPluginCreatorV3One {
public:
    explicit Creator(Operator const& op);
    Creator(Creator const&) = delete;
    Creator& operator=(Creator const&) = delete;

    // Null, and a message in the log, where the attributes are not exactly the operator's.
    nvinfer1::IPluginV3* createPlugin(char const* name,
                                      nvinfer1::PluginFieldCollection const* fields,
                                      nvinfer1::TensorRTPhase phase) noexcept override;
    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override;
    char const* getPluginName() const noexcept override { return op_.name; }
    char const* getPluginVersion() const noexcept override { return kVersion; }
    char const* getPluginNamespace() const noexcept override { return kNamespace; }

private:
    Operator const& op_;  // One of kOperators.
    std::array<nvinfer1::PluginField, kAttributeNames.size()> fields_;
    nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace simam
