// One SimAM node in a network, around the kernel.
#pragma once

#include "creator.h"
#include "operators.h"

namespace simam {

// Inputs x, scale, bias, residual as far as the operator has them; one output of x's shape, type
// and layout. scale and bias are linear float32 of (C,); the residual is as x.
class Plugin final : public Node {
public:
    // Throws std::invalid_argument with what is wrong about the values.
    Plugin(Operator const& op, Values const& values);

    nvinfer1::IPluginV3* clone() noexcept override;
    int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t nbOutputs,
                               nvinfer1::DataType const* inputs,
                               int32_t nbInputs) const noexcept override;
    int32_t getOutputShapes(nvinfer1::DimsExprs const* inputs, int32_t nbInputs,
                            nvinfer1::DimsExprs const* shapeInputs, int32_t nbShapeInputs,
                            nvinfer1::DimsExprs* outputs, int32_t nbOutputs,
                            nvinfer1::IExprBuilder& builder) noexcept override;
    bool supportsFormatCombination(int32_t pos, nvinfer1::DynamicPluginTensorDesc const* inOut,
                                   int32_t nbInputs, int32_t nbOutputs) noexcept override;
    size_t getWorkspaceSize(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                            nvinfer1::DynamicPluginTensorDesc const* outputs,
                            int32_t nbOutputs) const noexcept override;
    int32_t onShapeChange(nvinfer1::PluginTensorDesc const* inputs, int32_t nbInputs,
                          nvinfer1::PluginTensorDesc const* outputs,
                          int32_t nbOutputs) noexcept override;
    int32_t enqueue(nvinfer1::PluginTensorDesc const* inputDescs,
                    nvinfer1::PluginTensorDesc const* outputDescs, void const* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;

private:
    Operator const& op_;  // One of kOperators.
    Numbers const numbers_;
};

template <size_t kIndex>
Kind kindOf() {
    constexpr Operator const& op = kOperators[kIndex];
    return {op.name, attributesOf(op),
            [](Values const& values) -> Node* { return new Plugin(kOperators[kIndex], values); }};
}

}  // namespace simam
