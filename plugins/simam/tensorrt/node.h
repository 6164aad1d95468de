// One node of an operator in a network: what TensorRT's three plugin interfaces want of each alike.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <vector>

#include "fields.h"

namespace simam {

inline constexpr char const* kNamespace = "simam";
inline constexpr char const* kVersion = "1";

// A node has one output and, unless its operator says otherwise, no workspace. What it says in
// refusal goes to TensorRT's log. None of it touches CUDA but `enqueue`.
class Node : public nvinfer1::IPluginV3,
             public nvinfer1::IPluginV3OneCore,
             public nvinfer1::v_1_0::IPluginV3OneBuild,  // The one that 10.0 has, too.
             public nvinfer1::IPluginV3OneRuntime {
public:
    Node(char const* name, int32_t inputs, Attributes attributes, Values values);
    Node(Node const&) = delete;
    Node& operator=(Node const&) = delete;

    nvinfer1::IPluginCapability* getCapabilityInterface(
        nvinfer1::PluginCapabilityType type) noexcept override;
    char const* getPluginName() const noexcept override { return name_; }
    char const* getPluginVersion() const noexcept override { return kVersion; }
    char const* getPluginNamespace() const noexcept override { return kNamespace; }
    int32_t getNbOutputs() const noexcept override { return 1; }
    int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                            nvinfer1::DynamicPluginTensorDesc const* outputs,
                            int32_t nbOutputs) noexcept override;
    size_t getWorkspaceSize(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                            nvinfer1::DynamicPluginTensorDesc const* outputs,
                            int32_t nbOutputs) const noexcept override;
    char const* getTimingCacheID() noexcept override { return id_.c_str(); }
    char const* getMetadataString() noexcept override { return id_.c_str(); }
    nvinfer1::IPluginV3* attachToContext(
        nvinfer1::IPluginResourceContext* context) noexcept override;
    nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override;

protected:
    int32_t refuse(std::string const& reason) const noexcept;
    // 0 where there are as many as the operator has, and one output.
    int32_t checkCounts(int32_t inputs, int32_t outputs) const noexcept;
    int32_t checkRank(int32_t input, int32_t got, int32_t wanted) const noexcept;
    // What an enqueue comes to.
    int32_t finish(cudaError_t error) const noexcept;

    char const* const name_;
    int32_t const inputs_;
    Attributes const attributes_;
    Values const values_;

private:
    std::string const id_;  // Operator and attributes, which decide about the time.
    std::vector<nvinfer1::PluginField> const fields_;
    nvinfer1::PluginFieldCollection const collection_;
};

}  // namespace simam
