#include "nms.h"

#include <new>
#include <stdexcept>

#include "detection/detection.h"
#include "dims.h"

namespace simam {
namespace {

using namespace nvinfer1;

constexpr char const* kName = "BatchedNMS";

enum Input : int32_t { kBoxes, kScores, kGroups, kInputs };

enum Index : size_t { kThreshold, kGroupCount };

Attributes attributes() {
    return {{"iou_threshold", PluginFieldType::kFLOAT32},
            {"num_groups", PluginFieldType::kINT32}};
}

Values const& checked(Values const& values) {
    checkWhole("num_groups", values[kGroupCount].whole, 1, INT32_MAX);
    float const threshold = values[kThreshold].real;
    if (!(threshold >= 0.0F && threshold <= 1.0F)) {  // Nor where it is not a number.
        throw std::invalid_argument("iou_threshold must be 0 to 1, got " +
                                    std::to_string(threshold));
    }
    return values;
}

// What is wrong about the inputs' sizes, of which those that are not known yet are below 0.
char const* fault(std::vector<Dims> const& inputs) {
    Dims const& boxes = inputs[kBoxes];
    if (boxes.nbDims != 3 || !agree(boxes.d[2], 4)) {
        return "boxes must be (B, M, 4)";
    }
    for (Dims const& other : {inputs[kScores], inputs[kGroups]}) {
        if (other.nbDims != 2 || !agree(other.d[0], boxes.d[0]) || !agree(other.d[1], boxes.d[1])) {
            return "scores and groups must be (B, M), as boxes are";
        }
    }
    return nullptr;
}

std::string tooMany(int64_t boxes) {
    return "takes " + std::to_string(kMostBoxes) + " boxes a batch entry, got " +
           std::to_string(boxes);
}

}  // namespace

NmsNode::NmsNode(Values const& values) : Node(kName, kInputs, attributes(), checked(values)) {}

Kind nmsKind() {
    return {kName, attributes(), [](Values const& values) -> Node* { return new NmsNode(values); }};
}

IPluginV3* NmsNode::clone() noexcept {
    try {
        return new NmsNode(values_);
    } catch (std::bad_alloc const&) {
        return nullptr;
    }
}

int32_t NmsNode::getOutputDataTypes(DataType* outputs, int32_t nbOutputs, DataType const* inputs,
                                    int32_t nbInputs) const noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    outputs[0] = inputs[kScores];
    return 0;
}

int32_t NmsNode::getOutputShapes(DimsExprs const* inputs, int32_t nbInputs,
                                 DimsExprs const* /* shapeInputs */, int32_t /* nbShapeInputs */,
                                 DimsExprs* outputs, int32_t nbOutputs,
                                 IExprBuilder& /* builder */) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    for (int32_t i = 0; i < nbInputs; ++i) {
        if (checkRank(i, inputs[i].nbDims, i == kBoxes ? 3 : 2) != 0) {
            return -1;
        }
    }
    outputs[0] = inputs[kScores];
    return 0;
}

bool NmsNode::supportsFormatCombination(int32_t pos, DynamicPluginTensorDesc const* inOut,
                                        int32_t nbInputs, int32_t nbOutputs) noexcept {
    if (nbInputs != kInputs || nbOutputs != 1 || pos < 0 || pos > nbInputs) {
        return false;
    }
    PluginTensorDesc const& here = inOut[pos].desc;
    if (here.format != TensorFormat::kLINEAR) {
        return false;
    }
    return pos == kGroups ? here.type == DataType::kINT64 || here.type == DataType::kINT32
                          : here.type == DataType::kFLOAT;
}

int32_t NmsNode::configurePlugin(DynamicPluginTensorDesc const* inputs, int32_t nbInputs,
                                 DynamicPluginTensorDesc const* /* outputs */,
                                 int32_t nbOutputs) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    if (char const* const wrong = fault(dimsOf(inputs, nbInputs))) {
        return refuse(wrong);
    }
    int64_t const most = inputs[kScores].max.d[1];
    return most <= kMostBoxes ? 0 : refuse(tooMany(most));
}

size_t NmsNode::getWorkspaceSize(DynamicPluginTensorDesc const* inputs, int32_t /* nbInputs */,
                                 DynamicPluginTensorDesc const* /* outputs */,
                                 int32_t /* nbOutputs */) const noexcept {
    Dims const& most = inputs[kScores].max;
    return nmsWorkspaceSize(most.d[0], most.d[1]);
}

int32_t NmsNode::onShapeChange(PluginTensorDesc const* inputs, int32_t nbInputs,
                               PluginTensorDesc const* /* outputs */, int32_t nbOutputs) noexcept {
    if (checkCounts(nbInputs, nbOutputs) != 0) {
        return -1;
    }
    if (char const* const wrong = fault(dimsOf(inputs, nbInputs))) {
        return refuse(wrong);
    }
    int64_t const boxes = inputs[kScores].dims.d[1];
    return boxes <= kMostBoxes ? 0 : refuse(tooMany(boxes));
}

int32_t NmsNode::enqueue(PluginTensorDesc const* inputDescs,
                         PluginTensorDesc const* /* outputDescs */, void const* const* inputs,
                         void* const* outputs, void* workspace, cudaStream_t stream) noexcept {
    Dims const& scores = inputDescs[kScores].dims;
    NmsParams params{};
    params.boxes = static_cast<float const*>(inputs[kBoxes]);
    params.scores = static_cast<float const*>(inputs[kScores]);
    params.groups = inputs[kGroups];
    params.kept = static_cast<float*>(outputs[0]);
    params.batch = scores.d[0];
    params.count = scores.d[1];
    params.groupCount = values_[kGroupCount].whole;
    params.threshold = values_[kThreshold].real;
    params.wideGroups = inputDescs[kGroups].type == DataType::kINT64;
    return finish(launchNms(params, workspace, stream));
}

}  // namespace simam
