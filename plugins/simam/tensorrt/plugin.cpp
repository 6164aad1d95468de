#include "plugin.h"

#include <algorithm>
#include <cstdio>
#include <new>

#include "formats.h"
#include "kernel/simam.h"
#include "log.h"

namespace simam {
namespace {

using namespace nvinfer1;

constexpr int32_t kRank = 4;

// Operator and attributes to the last bit.
std::string identify(Operator const& op, Attributes const& attributes) {
    std::string id = std::string(kNamespace) + "::" + op.name;
    for (int32_t i = 0; i < op.attributes; ++i) {
        char text[32];
        std::snprintf(text, sizeof text, " %s=%a", kAttributeNames[i],
                      static_cast<double>(attributes[i]));
        id += text;
    }
    return id;
}

bool isVector(int32_t input) { return input == kScale || input == kBias; }

bool sameDims(Dims const& a, Dims const& b) {
    return a.nbDims == b.nbDims && std::equal(a.d, a.d + a.nbDims, b.d);
}

Type typeOf(DataType type) {
    return type == DataType::kFLOAT  ? Type::kFloat
           : type == DataType::kHALF ? Type::kHalf
                                     : Type::kBFloat16;
}

Layout layoutOf(TensorFormat format) {
    return format == TensorFormat::kLINEAR ? Layout::kNCHW : Layout::kNHWC;
}

// Sizes alone; dims are those of (N, C, H, W) in every format.
Params sizesOf(Dims const& dims, TensorFormat format) {
    Params params{};
    params.n = dims.d[0];
    params.c = dims.d[1];
    params.hw = static_cast<int64_t>(dims.d[2]) * dims.d[3];
    params.pitch = format == TensorFormat::kHWC8 ? (params.c + 7) / 8 * 8 : params.c;
    return params;
}

}  // namespace

Plugin::Plugin(Operator const& op, Attributes const& attributes)
    : op_(op), attributes_(attributes), id_(identify(op, attributes)) {
    for (size_t i = 0; i < fields_.size(); ++i) {
        fields_[i] = {kAttributeNames[i], &attributes_[i], PluginFieldType::kFLOAT32, 1};
    }
    collection_.nbFields = op.attributes;
    collection_.fields = fields_.data();
}

int32_t Plugin::refuse(std::string const& reason) const noexcept {
    logError(std::string(op_.name) + ": " + reason);
    return -1;
}

IPluginCapability* Plugin::getCapabilityInterface(PluginCapabilityType type) noexcept {
    switch (type) {
        case PluginCapabilityType::kCORE: return static_cast<IPluginV3OneCore*>(this);
        case PluginCapabilityType::kBUILD: return static_cast<v_1_0::IPluginV3OneBuild*>(this);
        case PluginCapabilityType::kRUNTIME: return static_cast<IPluginV3OneRuntime*>(this);
    }
    return nullptr;
}

IPluginV3* Plugin::clone() noexcept {
    try {
        return new Plugin(op_, attributes_);
    } catch (std::bad_alloc const&) {
        return nullptr;
    }
}

IPluginV3* Plugin::attachToContext(IPluginResourceContext* /* context */) noexcept {
    return clone();
}

PluginFieldCollection const* Plugin::getFieldsToSerialize() noexcept { return &collection_; }

int32_t Plugin::getOutputDataTypes(DataType* outputs, int32_t nbOutputs, DataType const* inputs,
                                   int32_t nbInputs) const noexcept {
    if (nbInputs != op_.inputs || nbOutputs != 1) {
        return refuse("takes " + std::to_string(op_.inputs) + " inputs and gives one output, got " +
                      std::to_string(nbInputs) + " and " + std::to_string(nbOutputs));
    }
    outputs[0] = inputs[kX];
    return 0;
}

int32_t Plugin::getOutputShapes(DimsExprs const* inputs, int32_t nbInputs,
                                DimsExprs const* /* shapeInputs */, int32_t nbShapeInputs,
                                DimsExprs* outputs, int32_t nbOutputs,
                                IExprBuilder& /* builder */) noexcept {
    if (nbInputs != op_.inputs || nbShapeInputs != 0 || nbOutputs != 1) {
        return refuse("takes " + std::to_string(op_.inputs) + " inputs and gives one output");
    }
    for (int32_t i = 0; i < nbInputs; ++i) {
        int32_t const rank = isVector(i) ? 1 : kRank;
        if (inputs[i].nbDims != rank) {
            return refuse("input " + std::to_string(i) + " must have " + std::to_string(rank) +
                          " dimensions, got " + std::to_string(inputs[i].nbDims));
        }
    }
    outputs[0] = inputs[kX];
    return 0;
}

bool Plugin::supportsFormatCombination(int32_t pos, DynamicPluginTensorDesc const* inOut,
                                       int32_t nbInputs, int32_t nbOutputs) noexcept {
    if (nbInputs != op_.inputs || nbOutputs != 1 || pos < 0 || pos > nbInputs) {
        return false;
    }
    PluginTensorDesc const& x = inOut[kX].desc;
    PluginTensorDesc const& here = inOut[pos].desc;
    if (pos == kX) {
        return offers(x.type, x.format);
    }
    if (pos < nbInputs && isVector(pos)) {
        return here.type == DataType::kFLOAT && here.format == TensorFormat::kLINEAR;
    }
    return here.type == x.type && here.format == x.format;
}

int32_t Plugin::configurePlugin(DynamicPluginTensorDesc const* /* inputs */, int32_t /* nbInputs */,
                                DynamicPluginTensorDesc const* /* outputs */,
                                int32_t /* nbOutputs */) noexcept {
    return 0;
}

size_t Plugin::getWorkspaceSize(DynamicPluginTensorDesc const* inputs, int32_t /* nbInputs */,
                                DynamicPluginTensorDesc const* /* outputs */,
                                int32_t /* nbOutputs */) const noexcept {
    PluginTensorDesc const& x = inputs[kX].desc;
    // For all sizes up to the profile's largest.
    return workspaceSize(sizesOf(inputs[kX].max, x.format), typeOf(x.type), layoutOf(x.format));
}

int32_t Plugin::onShapeChange(PluginTensorDesc const* inputs, int32_t nbInputs,
                              PluginTensorDesc const* outputs, int32_t nbOutputs) noexcept {
    Dims const& x = inputs[kX].dims;
    if (nbInputs != op_.inputs || nbOutputs != 1 || x.nbDims != kRank ||
        !sameDims(x, outputs[0].dims)) {
        return refuse("x and y must be one (N, C, H, W)");
    }
    for (int32_t i = kScale; i < nbInputs; ++i) {
        Dims const& dims = inputs[i].dims;
        bool const fits = isVector(i) ? dims.nbDims == 1 && dims.d[0] == x.d[1] : sameDims(dims, x);
        if (!fits) {
            return refuse(isVector(i) ? "scale and bias must be (C,), C of x"
                                      : "the residual must have the shape of x");
        }
    }
    return 0;
}

int32_t Plugin::enqueue(PluginTensorDesc const* inputDescs,
                        PluginTensorDesc const* /* outputDescs */, void const* const* inputs,
                        void* const* outputs, void* workspace, cudaStream_t stream) noexcept {
    PluginTensorDesc const& x = inputDescs[kX];
    Params params = sizesOf(x.dims, x.format);
    params.x = inputs[kX];
    params.y = outputs[0];
    params.scale = op_.inputs > kScale ? static_cast<float const*>(inputs[kScale]) : nullptr;
    params.bias = op_.inputs > kBias ? static_cast<float const*>(inputs[kBias]) : nullptr;
    params.residual = op_.inputs > kResidual ? inputs[kResidual] : nullptr;
    params.lambda = attributes_[kLambda];
    params.clipMin = attributes_[kClipMin];
    params.clipMax = attributes_[kClipMax];
    cudaError_t const error = launch(params, typeOf(x.type), layoutOf(x.format), workspace, stream);
    return error == cudaSuccess ? 0 : refuse(std::string("CUDA: ") + cudaGetErrorString(error));
}

}  // namespace simam
