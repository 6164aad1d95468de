#include "creator.h"

#include <exception>
#include <string>

#include "log.h"
#include "plugin.h"

namespace simam {

using namespace nvinfer1;

Creator::Creator(Operator const& op) : op_(op) {
    for (size_t i = 0; i < fields_.size(); ++i) {
        fields_[i] = {kAttributeNames[i], nullptr, PluginFieldType::kFLOAT32, 1};
    }
    collection_.nbFields = op.attributes;
    collection_.fields = fields_.data();
}

PluginFieldCollection const* Creator::getFieldNames() noexcept { return &collection_; }

IPluginV3* Creator::createPlugin(char const* name, PluginFieldCollection const* fields,
                                 TensorRTPhase /* phase */) noexcept {
    try {
        return new Plugin(op_, parseAttributes(op_, fields));
    } catch (std::exception const& error) {
        char const* const layer = name == nullptr ? "(no name)" : name;
        logError(std::string(op_.name) + " " + layer + ": " + error.what());
        return nullptr;
    }
}

}  // namespace simam

extern "C" [[gnu::visibility("default")]] nvinfer1::IPluginCreatorInterface* const* getCreators(
    int32_t& count) {
    using simam::kOperators;
    static simam::Creator creators[]{simam::Creator(kOperators[0]), simam::Creator(kOperators[1]),
                                     simam::Creator(kOperators[2])};
    static nvinfer1::IPluginCreatorInterface* const interfaces[]{&creators[0], &creators[1],
                                                                 &creators[2]};
    count = 3;
    return interfaces;
}
