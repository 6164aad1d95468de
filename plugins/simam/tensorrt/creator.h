// Makes plugins of one operator, from a network's attributes or from a plan.
#pragma once

#include <NvInferRuntime.h>

#include <vector>

#include "node.h"

namespace simam {

// An operator, as its creator needs it.
struct Kind {
    char const* name;
    Attributes attributes;
    // Throws std::exception with what is wrong about the attributes' values.
    Node* (*make)(Values const& values);
};

class Creator final : public nvinfer1::IPluginCreatorV3One {
public:
    explicit Creator(Kind kind);
    Creator(Creator const&) = delete;
    Creator& operator=(Creator const&) = delete;

    // Null, and a message in the log, where the attributes are not exactly the operator's.
    nvinfer1::IPluginV3* createPlugin(char const* name,
                                      nvinfer1::PluginFieldCollection const* fields,
                                      nvinfer1::TensorRTPhase phase) noexcept override;
    nvinfer1::PluginFieldCollection const* getFieldNames() noexcept override;
    char const* getPluginName() const noexcept override { return kind_.name; }
    char const* getPluginVersion() const noexcept override { return kVersion; }
    char const* getPluginNamespace() const noexcept override { return kNamespace; }

private:
    Kind const kind_;
    std::vector<nvinfer1::PluginField> const fields_;
    nvinfer1::PluginFieldCollection const collection_;
};

}  // namespace simam
