// One MultilevelRoIAlign node in a network; the contract is simam_deploy/op/detection.py.
#pragma once

#include "creator.h"

namespace simam {

// Inputs rois, linear float32 of (N, R, 4), and four maps of one type and layout. The result
// (N * R, C, S, S) has their type; it is linear, or in their layout.
class AlignNode final : public Node {
public:
    // Throws std::invalid_argument with what is wrong about the values.
    explicit AlignNode(Values const& values);

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
    int32_t configurePlugin(nvinfer1::DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                            nvinfer1::DynamicPluginTensorDesc const* outputs,
                            int32_t nbOutputs) noexcept override;
    int32_t onShapeChange(nvinfer1::PluginTensorDesc const* inputs, int32_t nbInputs,
                          nvinfer1::PluginTensorDesc const* outputs,
                          int32_t nbOutputs) noexcept override;
    int32_t enqueue(nvinfer1::PluginTensorDesc const* inputDescs,
                    nvinfer1::PluginTensorDesc const* outputDescs, void const* const* inputs,
                    void* const* outputs, void* workspace, cudaStream_t stream) noexcept override;
};

Kind alignKind();

}  // namespace simam
