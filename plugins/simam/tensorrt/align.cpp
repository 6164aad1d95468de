#include "align.h"

#include <cmath>
#include <new>
#include <stdexcept>

#include "detection/detection.h"
#include "dims.h"
#include "formats.h"

namespace simam {
namespace {

using namespace nvinfer1;

constexpr char const* kName = "MultilevelRoIAlign";
constexpr int32_t kRois = 0, kMaps = 1, kInputs = kMaps + kLevels;

enum Index : size_t { kOutputSize, kSamplingRatio, kFinestScale };

Attributes attributes() {
    return {{"output_size", PluginFieldType::kINT32},
            {"sampling_ratio", PluginFieldType::kINT32},
            {"finest_scale", PluginFieldType::kFLOAT32}};
}

Values const& checked(Values const& values) {
    checkWhole("output_size", values[kOutputSize].whole, 1, kMostBins);
    checkWhole("sampling_ratio", values[kSamplingRatio].whole, 0, kMostRatio);
    float const finest = values[kFinestScale].real;
    if (!std::isfinite(finest) || finest <= 0.0F) {
        throw std::invalid_argument("finest_scale must be finite and above 0, got " +
                                    std::to_string(finest));
    }
    return values;
}

// What is wrong about the inputs' sizes, of which those that are not known yet are below 0.
char const* fault(std::vector<Dims> const& inputs) {
    Dims const& rois = inputs[kRois];
    if (rois.nbDims != 3 || !agree(rois.d[2], 4)) {
        return "rois must be (N, R, 4)";
    }
    Dims const& first = inputs[kMaps];
    for (size_t i = kMaps; i < inputs.size(); ++i) {
        Dims const& map = inputs[i];
        if (map.nbDims != 4 || !agree(map.d[0], rois.d[0]) || !agree(map.d[1], first.d[1])) {
            return "the maps must be (N, C, H, W), of the N of rois and of one C";
        }
    }
    return nullptr;
}

}  // namespace

AlignNode::AlignNode(Values const& values) : Node(kName, kInputs, attributes(), checked(values)) {}

Kind alignKind() {
    return {kName, attributes(),
            [](Values const& values) -> Node* { return new AlignNode(values); }};
}

IPluginV3* AlignNode::clone() noexcept {
    try {
        return new AlignNode(values_);
    } catch (std::bad_alloc const&) {
        return nullptr;
    }
}

int32_t AlignNode::getOutputDataTypes(DataType* outputs, int32_t nbOutputs, DataType const* inputs,
                                      int32_t nbInputs) const noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    outputs[0] = inputs[kMaps];
    return 0;
}

int32_t AlignNode::getOutputShapes(DimsExprs const* inputs, int32_t nbInputs,
                                   DimsExprs const* /* shapeInputs */, int32_t /* nbShapeInputs */,
                                   DimsExprs* outputs, int32_t nbOutputs,
                                   IExprBuilder& builder) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < nbInputs; ++i) {
        if (checkRank(i, inputs[i].nbDims, i == kRois ? 3 : 4) != 0) {
            return -1;
        }
    }
    IDimensionExpr const* const size = builder.constant(values_[kOutputSize].whole);
    outputs[0].nbDims = 4;
    outputs[0].d[0] =
        builder.operation(DimensionOperation::kPROD, *inputs[kRois].d[0], *inputs[kRois].d[1]);
    outputs[0].d[1] = inputs[kMaps].d[1];
    outputs[0].d[2] = size;
    outputs[0].d[3] = size;
    return 0;
}

bool AlignNode::supportsFormatCombination(int32_t pos, DynamicPluginTensorDesc const* inOut,
                                          int32_t nbInputs, int32_t nbOutputs) noexcept {
    if (nbInputs != kInputs || nbOutputs != 1 || pos < 0 || pos > nbInputs) {
        return false;
    }
    PluginTensorDesc const& first = inOut[kMaps].desc;
    PluginTensorDesc const& here = inOut[pos].desc;
    bool const linear = here.format == TensorFormat::kLINEAR;
    if (pos == kRois) {
        return here.type == DataType::kFLOAT && linear;
    }
    if (pos == kMaps) {
        return offers(here.type, here.format);
    }
    bool const mayBeLinear = pos == nbInputs && linear;
    return here.type == first.type && (here.format == first.format || mayBeLinear);
}

int32_t AlignNode::configurePlugin(DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                                   DynamicPluginTensorDesc const* /* outputs */,
                                   int32_t nbOutputs) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    char const* const wrong = fault(dimsOf(inputs, nbInputs));
    return wrong == nullptr ? 0 : refuse(wrong);
}

int32_t AlignNode::onShapeChange(PluginTensorDesc const* inputs, int32_t nbInputs,
                                 PluginTensorDesc const* /* outputs */,
                                 int32_t nbOutputs) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    char const* const wrong = fault(dimsOf(inputs, nbInputs));
    return wrong == nullptr ? 0 : refuse(wrong);
}

int32_t AlignNode::enqueue(PluginTensorDesc const* inputDescs, PluginTensorDesc const* outputDescs,
                           void const* const* inputs, void* const* outputs,
                           void* /* workspace */, cudaStream_t stream) noexcept {
    PluginTensorDesc const& map = inputDescs[kMaps];
    AlignParams params{};
    params.rois = static_cast<float const*>(inputs[kRois]);
    for (int32_t i = 0; i < kLevels; ++i) {
        Dims const& dims = inputDescs[kMaps + i].dims;
        params.levels[i] = {inputs[kMaps + i], dims.d[2], dims.d[3]};
    }
    params.y = outputs[0];
    params.n = inputDescs[kRois].dims.d[0];
    params.r = inputDescs[kRois].dims.d[1];
    params.c = map.dims.d[1];
    params.pitch = pitchOf(params.c, map.format);
    params.from = layoutOf(map.format);
    params.to = layoutOf(outputDescs[0].format);
    params.bins = values_[kOutputSize].whole;
    params.ratio = values_[kSamplingRatio].whole;
    params.finest = values_[kFinestScale].real;
    return finish(launchAlign(params, typeOf(map.type), stream));
}

}  // namespace simam
