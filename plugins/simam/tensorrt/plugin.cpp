#include "plugin.h"

#include <algorithm>
#include <new>

#include "formats.h"
#include "kernel/simam.h"

namespace simam {
namespace {

using namespace nvinfer1;

constexpr int32_t kRank = 4;

bool isVector(int32_t input) { return input == kScale || input == kBias; }

bool sameDims(Dims const& a, Dims const& b) {
    return a.nbDims == b.nbDims && std::equal(a.d, a.d + a.nbDims, b.d);
}

// Sizes alone; dims are those of (N, C, H, W) in every format.
Params sizesOf(Dims const& dims, TensorFormat format) {
    Params params{};
    params.n = dims.d[0];
    params.c = dims.d[1];
    params.hw = static_cast<int64_t>(dims.d[2]) * dims.d[3];
    params.pitch = pitchOf(params.c, format);
    return params;
}

}  // namespace

Plugin::Plugin(Operator const& op, Values const& values)
    : Node(op.name, op.inputs, attributesOf(op), values), op_(op), numbers_(numbersOf(values)) {}

IPluginV3* Plugin::clone() noexcept {
    try {
        return new Plugin(op_, values_);
    } catch (std::bad_alloc const&) {
        return nullptr;
    }
}

int32_t Plugin::getOutputDataTypes(DataType* outputs, int32_t nbOutputs, DataType const* inputs,
                                   int32_t nbInputs) const noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    outputs[0] = inputs[kX];
    return 0;
}

int32_t Plugin::getOutputShapes(DimsExprs const* inputs, int32_t nbInputs,
                                DimsExprs const* /* shapeInputs */,
                                int32_t /* nbShapeInputs */,
                                DimsExprs* outputs, int32_t nbOutputs,
                                IExprBuilder& /* builder */) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < nbInputs; ++i) {
        if (checkRank(i, inputs[i].nbDims, isVector(i) ? 1 : kRank) != 0) {
            return -1;
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
    params.lambda = numbers_[kLambda];
    params.clipMin = numbers_[kClipMin];
    params.clipMax = numbers_[kClipMax];
    return finish(launch(params, typeOf(x.type), layoutOf(x.format), workspace, stream));
}

}  // namespace simam
