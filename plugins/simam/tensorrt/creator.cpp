#include "creator.h"

#include <exception>
#include <string>
#include <utility>

#include "align.h"
#include "log.h"
#include "nms.h"
#include "plugin.h"

namespace simam {

using namespace nvinfer1;

Creator::Creator(Kind kind)
    : kind_(std::move(kind)),
      fields_(fieldsOf(kind_.attributes, nullptr)),
      collection_{static_cast<int32_t>(fields_.size()), fields_.data()} {}

PluginFieldCollection const* Creator::getFieldNames() noexcept { return &collection_; }

IPluginV3* Creator::createPlugin(char const* name, PluginFieldCollection const* fields,
                                 TensorRTPhase /* phase */) noexcept {
    try {
        return kind_.make(readFields(kind_.attributes, fields));
    } catch (std::exception const& error) {
        char const* const layer = name == nullptr ? "(no name)" : name;
        logError(std::string(kind_.name) + " " + layer + ": " + error.what());
        return nullptr;
    }
}

}  // namespace simam

extern "C" [[gnu::visibility("default")]] nvinfer1::IPluginCreatorInterface* const* getCreators(
    int32_t& count) {
    using namespace simam;
    static Creator creators[]{Creator(kindOf<0>()), Creator(kindOf<1>()), Creator(kindOf<2>()),
                              Creator(alignKind()), Creator(nmsKind())};
    static nvinfer1::IPluginCreatorInterface* const interfaces[]{
        &creators[0], &creators[1], &creators[2], &creators[3], &creators[4]};
    count = 5;
    return interfaces;
}
