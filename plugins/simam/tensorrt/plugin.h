// One SimAM node in a network: TensorRT's three plugin interfaces around the kernel.
#pragma once

#include <NvInferRuntime.h>

#include <array>
#include <string>

#include "operators.h"

namespace simam {

// Inputs x, scale, bias, residual as far as the operator has them; one output of x's shape, type
// and layout. scale and bias are linear float32 of (C,); the residual is as x.
class Plugin final : public nvinfer1::IPluginV3,
                     public nvinfer1::IPluginV3OneCore,
                     public nvinfer1::v_1_0::IPluginV3OneBuild,  // The one that 10.0 has, too.
                     public nvinfer1::IPluginV3OneRuntime {
public:
    Plugin(Operator const& op, Attributes const& attributes);
    Plugin(Plugin const&) = delete;
    Plugin& operator=(Plugin const&) = delete;

    nvinfer1::IPluginCapability* getCapabilityInterface(
        nvinfer1::PluginCapabilityType type) noexcept override;
    nvinfer1::IPluginV3* clone() noexcept override;

    char const* getPluginName() const noexcept override { return op_.name; }
    char const* getPluginVersion() const noexcept override { return kVersion; }
    char const* getPluginNamespace() const noexcept override { return kNamespace; }

    int32_t getNbOutputs() const noexcept override { return 1; }
    int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t nbOutputs,
                               nvinfer1::DataType const* inputs,
                               int32_t nbInputs) const noexcept override;
    int32_t getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t nbInputs,
                            nvinfer1::DimsExprs const* shapeInputs, int32_t nbShapeInputs,
                            nvinfer1::DimsExprs* outputs, int32_t nbOutputs,
                            nvinfer1::IExprBuilder& builder) noexcept override;
    bool supportsFormatCombination(int32_t pos, nvinfer1::DynamicPluginTensorDesc const* inOut,
                                   int32_t nbInputs, int32_t nbOutputs) noexcept override;
    int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                            nvinfer1::DynamicPluginTensorDesc const* outputs,
                            int32_t nbOutputs) noexcept override;
    size_t getWorkspaceSize(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                            nvinfer1::DynamicPluginTensorDesc const* outputs,
                            int32_t nbOutputs) const noexcept override;
    char const* getTimingCacheID() noexcept override { return id_.c_str(); }
    char const* getMetadataString() noexcept override { return id_.c_str(); }

    int32_t onShapeChange(nvinfer1::PluginTensorDesc const* inputs, int32_t nbInputs,
                          nvinfer1::PluginTensorDesc const* outputs,
                          int32_t nbOutputs) noexcept override;
    int32_t enqueue(nvinfer1::PluginTensorDesc const* inputDescs,
                    nvinfer1::PluginTensorDesc const* outputDescs, void const* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;
    nvinfer1::IPluginV3* attachToContext(
        nvinfer1::IPluginResourceContext* context) noexcept override;
    nvinfer1::PluginFieldCollection const* getFieldsToSerialize() noexcept override;

private:
    int32_t refuse(std::string const& reason) const noexcept;

    Operator const& op_;  // One of kOperators.
    Attributes const attributes_;
    std::string const id_;  // Operator and attributes, which decide about the time.
    std::array<nvinfer1::PluginField, kAttributeNames.size()> fields_;
    nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace simam
